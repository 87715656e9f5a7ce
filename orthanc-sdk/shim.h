/*
 * The services of the host as typed functions.
 *
 * The host has one door for all services: a number and an untyped pointer to that service's parameter block. The pairing
 * of the two is what no compiler checks, so it is made here once, beside the layouts, and Rust sees typed functions only.
 * Nothing unwinds through these functions: what the host does not report as an error code is caught (invoke.cpp). Result pointers are always
 * set, to null on error; what they point to is given back with gh_release. None of the functions keeps a pointer.
 */
#ifndef GATEHOUSE_SHIM_H
#define GATEHOUSE_SHIM_H

#include "gatehouse_sdk.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The host's door. For the functions below only. */
gh_error gh_invoke(gh_context* context, gh_service service, const void* params);

/* Gives memory back that the host allocated; null is fine. */
void gh_release(gh_context* context, void* memory);

/* One line in the host's log. Any host. */
void gh_log(gh_context* context, gh_log_level level, const char* message);
/* The same, under the plugin's name and the place in its source. Hosts since 1.12.4. */
void gh_log_named(gh_context* context, gh_log_level level, const char* plugin, const char* file, uint32_t line,
                  const char* message);

/* A buffer of this size whose memory the host will give back by itself. */
gh_error gh_create_buffer(gh_context* context, gh_buffer* buffer, uint32_t size);

gh_error gh_create_buffer64(gh_context* context, gh_buffer64* buffer, uint64_t size);

void gh_set_description(gh_context* context, const char* plugin, const char* description);
gh_error gh_get_configuration(gh_context* context, char** result);
gh_error gh_get_configuration_path(gh_context* context, char** result);

/* A text that the host's index keeps under a number from 1024 on; `otherwise` when it keeps none. */
gh_error gh_get_global_property(gh_context* context, int32_t property, const char* otherwise, char** result);
gh_error gh_set_global_property(gh_context* context, int32_t property, const char* value);

gh_error gh_register_rest(gh_context* context, const char* pattern, gh_rest_callback callback);
gh_error gh_register_filter(gh_context* context, gh_http_filter callback);
/* Hosts since 1.12.9. */
gh_error gh_register_authentication(gh_context* context, gh_http_authentication callback);
gh_error gh_register_change(gh_context* context, gh_on_change callback);
gh_error gh_register_dicom_filter(gh_context* context, gh_dicom_filter callback);
/* One plugin only. */
gh_error gh_register_received_instance(gh_context* context, gh_received_instance callback);
gh_error gh_register_stored_instance(gh_context* context, gh_on_stored_instance callback);

gh_error gh_answer(gh_context* context, gh_output* output, const void* body, uint32_t size, const char* mime_type);
gh_error gh_send_status(gh_context* context, gh_output* output, uint16_t status, const void* body, uint32_t size);
gh_error gh_send_method_not_allowed(gh_context* context, gh_output* output, const char* allowed);
gh_error gh_set_header(gh_context* context, gh_output* output, const char* key, const char* value);

/* Calls of the core's REST API, past the callbacks of all plugins. */
gh_error gh_rest_get(gh_context* context, gh_buffer* answer, const char* uri);
gh_error gh_rest_post(gh_context* context, gh_buffer* answer, const char* uri, const void* body, uint32_t size);
gh_error gh_rest_put(gh_context* context, gh_buffer* answer, const char* uri, const void* body, uint32_t size);
gh_error gh_rest_delete(gh_context* context, const char* uri);
/* The same with headers in both directions; `answer_headers` becomes a JSON object. */
gh_error gh_rest_call(gh_context* context, gh_buffer* answer, gh_buffer* answer_headers, uint16_t* status,
                      gh_method method, const char* uri, uint32_t headers_count, const char* const* headers_keys,
                      const char* const* headers_values, const void* body, uint32_t size);
/* The same for a GET, through the callbacks of the plugins. */
gh_error gh_rest_get_through_plugins(gh_context* context, gh_buffer* answer, const char* uri);

/* A file that is no instance yet, read as one; given back with gh_free_instance. */
gh_error gh_create_instance(gh_context* context, gh_instance** result, const void* file, uint32_t size);
void gh_free_instance(gh_context* context, gh_instance* instance);

/* A received instance. The string of the AE title belongs to the host; the JSON is given back with gh_release. */
gh_error gh_instance_simplified_json(gh_context* context, const gh_instance* instance, char** result);
gh_error gh_instance_origin(gh_context* context, const gh_instance* instance, gh_origin* result);
gh_error gh_instance_size(gh_context* context, const gh_instance* instance, int64_t* result);
/* The bytes of its file; they are the instance's own. */
gh_error gh_instance_data(gh_context* context, const gh_instance* instance, const char** result);
gh_error gh_instance_remote_aet(gh_context* context, const gh_instance* instance, const char** result);

#ifdef __cplusplus
}
#endif

#endif
