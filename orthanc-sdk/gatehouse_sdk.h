/*
 * The slice of Orthanc's plugin interface that Gatehouse calls or is called through, for hosts 1.12.5 and later.
 *
 * Only facts are here: layouts, numbers and signatures. `tests/abi.rs` compares each of them with the official header of
 * every supported Orthanc; whoever adds a name here adds its line in `tests/abi/assertions.cpp`, or that test fails.
 *
 * Enumerations of the host travel as plain integers of their width, so that a value this header does not name is a
 * number like any other and not undefined behaviour.
 */
#ifndef GATEHOUSE_SDK_H
#define GATEHOUSE_SDK_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Enumerations ---------------------------------------------------------------------------------------------------- */

/* What a service or a callback reports; 0 is success. */
typedef int32_t gh_error;
enum {
  gh_error_success = 0,
  gh_error_plugin = 1,
  gh_error_inexistent_item = 7,
  gh_error_bad_request = 8,
  gh_error_unknown_resource = 17,
  gh_error_unknown_service = 26,
  gh_error_unauthorized = 29,
  gh_error_forbidden = 45
};

typedef uint32_t gh_method;
enum { gh_method_get = 1, gh_method_post = 2, gh_method_put = 3, gh_method_delete = 4 };

/* What happened to a resource or to the server. */
typedef uint32_t gh_change;
enum {
  gh_change_deleted = 1,
  gh_change_started = 10,
  gh_change_stopped = 11,
  gh_change_job_success = 17,
  gh_change_job_failure = 18
};

/* A level of the DICOM hierarchy; `none` comes with changes of the server itself. */
typedef uint32_t gh_level;
enum { gh_level_patient = 0, gh_level_study = 1, gh_level_series = 2, gh_level_instance = 3, gh_level_none = 4 };

/* How an instance came in. */
typedef uint32_t gh_origin;
enum {
  gh_origin_unknown = 1,
  gh_origin_dicom = 2,
  gh_origin_rest = 3,
  gh_origin_plugin = 4,
  gh_origin_lua = 5,
  gh_origin_webdav = 6
};

/* What becomes of an instance that was received. */
typedef uint32_t gh_received_action;
enum { gh_received_keep = 1, gh_received_modify = 2, gh_received_discard = 3 };

typedef uint32_t gh_log_level;
enum { gh_log_level_error = 0, gh_log_level_warning = 1, gh_log_level_info = 2, gh_log_level_trace = 3 };

typedef uint32_t gh_log_category;
enum { gh_log_category_plugins = 2 };

typedef uint32_t gh_property;
enum { gh_property_description = 1 };

/* Answer of the authentication callback (1.12.9). */
typedef uint32_t gh_authentication;
enum {
  gh_authentication_granted = 0,
  gh_authentication_unauthorized = 1,
  gh_authentication_forbidden = 2,
  gh_authentication_redirect = 3
};

/* Numbers of the services; the parameter block of each stands beside its wrapper in shim.c. */
typedef uint32_t gh_service;
enum {
  gh_service_log_info = 1,
  gh_service_log_warning = 2,
  gh_service_log_error = 3,
  gh_service_set_plugin_property = 7,
  gh_service_get_configuration_path = 6,
  gh_service_get_global_property = 8,
  gh_service_set_global_property = 9,
  gh_service_get_configuration = 13,
  gh_service_create_memory_buffer = 38,      /* 1.7.0 */
  gh_service_create_memory_buffer64 = 40,    /* 1.9.0 */
  gh_service_log_message = 45,               /* 1.12.4 */
  gh_service_register_on_stored_instance = 1001,
  gh_service_register_on_change = 1003,
  gh_service_register_rest_no_lock = 1004,
  gh_service_register_http_filter = 1010,
  gh_service_register_dicom_filter = 1014,
  gh_service_register_received_instance = 1018, /* 1.10.0 */
  gh_service_register_http_authentication = 1021, /* 1.12.9 */
  gh_service_answer_buffer = 2000,
  gh_service_send_method_not_allowed = 2005,
  gh_service_set_http_header = 2007,
  gh_service_send_http_status = 2010,
  gh_service_rest_api_get = 3001,
  gh_service_rest_api_post = 3002,
  gh_service_rest_api_delete = 3003,
  gh_service_rest_api_put = 3004,
  gh_service_rest_api_get_after_plugins = 3010,
  gh_service_call_rest_api = 3016,
  gh_service_get_instance_remote_aet = 4000,
  gh_service_get_instance_size = 4001,
  gh_service_get_instance_data = 4002,
  gh_service_get_instance_simplified_json = 4004,
  gh_service_get_instance_origin = 4007,
  gh_service_create_instance = 4010, /* 1.7.0 */
  gh_service_free_instance = 4011
};

/* What the host owns --------------------------------------------------------------------------------------------- */

/* Where a REST callback writes its answer; valid during that callback. */
typedef struct gh_output gh_output;
/* A DICOM instance on its way in; valid during the callback that hands it over. */
typedef struct gh_instance gh_instance;

typedef void (*gh_free)(void* memory);

/* The host, as it introduces itself at start; valid until the plugin is finalized. */
typedef struct gh_context {
  void* plugins_manager;
  const char* orthanc_version;
  gh_free free;
  gh_error (*invoke_service)(struct gh_context* context, gh_service service, const void* params);
} gh_context;

/* Memory that a service allocates and `free` of the context takes back. */
typedef struct {
  void* data;
  uint32_t size;
} gh_buffer;

typedef struct {
  void* data;
  uint64_t size;
} gh_buffer64;

/* A request at a REST callback. Since 1.12.9 two fields about an authentication payload follow; we name none of them, so
 * that nothing can read them on an older host, where they lie outside of what was handed over. */
typedef struct {
  gh_method method;
  uint32_t groups_count;
  const char* const* groups;
  uint32_t get_count;
  const char* const* get_keys;
  const char* const* get_values;
  const void* body;
  uint32_t body_size;
  uint32_t headers_count;
  const char* const* headers_keys;
  const char* const* headers_values;
} gh_http_request;

/* Callbacks ------------------------------------------------------------------------------------------------------- */

typedef gh_error (*gh_rest_callback)(gh_output* output, const char* uri, const gh_http_request* request);

/* 1 lets the request pass, 0 refuses it, anything else is an error. */
typedef int32_t (*gh_http_filter)(gh_method method, const char* uri, const char* ip, uint32_t headers_count,
                                  const char* const* headers_keys, const char* const* headers_values,
                                  uint32_t get_count, const char* const* get_keys, const char* const* get_values);

typedef gh_error (*gh_http_authentication)(gh_authentication* status, gh_buffer* payload, gh_buffer* redirection,
                                           const char* uri, const char* ip, uint32_t headers_count,
                                           const char* const* headers_keys, const char* const* headers_values,
                                           uint32_t get_count, const char* const* get_keys,
                                           const char* const* get_values);

typedef gh_error (*gh_on_change)(gh_change change, gh_level level, const char* resource);

/* `modified` is to be filled with a buffer of gh_create_buffer64 for `gh_received_modify` only. */
typedef gh_received_action (*gh_received_instance)(gh_buffer64* modified, const void* received, uint64_t size,
                                                   gh_origin origin);

/* 1 lets the instance in, 0 drops it, anything else is an error. */
typedef int32_t (*gh_dicom_filter)(const gh_instance* instance);

typedef gh_error (*gh_on_stored_instance)(const gh_instance* instance, const char* id);

/* Parameter blocks ------------------------------------------------------------------------------------------------ */

typedef struct {
  const char* message;
  const char* plugin;
  const char* file;
  uint32_t line;
  gh_log_category category;
  gh_log_level level;
} gh_params_log_message;

typedef struct {
  const char* plugin;
  gh_property property;
  const char* value;
} gh_params_property;

typedef struct {
  char** result;
  int32_t property;
  const char* value;
} gh_params_global_property;

typedef struct {
  gh_buffer* target;
  uint32_t size;
} gh_params_create_buffer;

typedef struct {
  gh_buffer64* target;
  uint64_t size;
} gh_params_create_buffer64;

typedef struct {
  gh_received_instance callback;
} gh_params_received_instance;

typedef struct {
  gh_instance** target;
  const void* buffer;
  uint32_t size;
  const char* transfer_syntax;
} gh_params_create_instance;

typedef struct {
  gh_instance* instance;
} gh_params_free_instance;

typedef struct {
  char** result;
  const char* argument;
} gh_params_dynamic_string;

typedef struct {
  const char* pattern;
  gh_rest_callback callback;
} gh_params_rest_callback;

typedef struct {
  gh_http_filter callback;
} gh_params_http_filter;

typedef struct {
  gh_http_authentication callback;
} gh_params_http_authentication;

typedef struct {
  gh_on_change callback;
} gh_params_on_change;

typedef struct {
  gh_dicom_filter callback;
} gh_params_dicom_filter;

typedef struct {
  gh_on_stored_instance callback;
} gh_params_on_stored_instance;

typedef struct {
  gh_output* output;
  const void* answer;
  uint32_t answer_size;
  const char* mime_type;
} gh_params_answer_buffer;

typedef struct {
  gh_output* output;
  const char* argument;
} gh_params_output_argument;

typedef struct {
  gh_output* output;
  const char* key;
  const char* value;
} gh_params_header;

typedef struct {
  gh_output* output;
  uint16_t status;
  const void* body;
  uint32_t body_size;
} gh_params_status;

typedef struct {
  gh_buffer* target;
  const char* uri;
} gh_params_rest_get;

typedef struct {
  gh_buffer* target;
  const char* uri;
  const void* body;
  uint32_t body_size;
} gh_params_rest_body;

typedef struct {
  gh_buffer* answer_body;
  gh_buffer* answer_headers;
  uint16_t* http_status;
  gh_method method;
  const char* uri;
  uint32_t headers_count;
  const char* const* headers_keys;
  const char* const* headers_values;
  const void* body;
  uint32_t body_size;
  uint8_t after_plugins;
} gh_params_call_rest;

typedef struct {
  char** string_to_free;
  const char** string;
  int64_t* integer;
  const char* key;
  const gh_instance* instance;
  gh_origin* origin;
} gh_params_instance;

#ifdef __cplusplus
}
#endif

#endif
