#include "shim.h"

#include <stddef.h>

static void clear(gh_buffer* buffer) {
  buffer->data = NULL;
  buffer->size = 0;
}

void gh_release(gh_context* context, void* memory) {
  if (memory != NULL) {
    context->free(memory);
  }
}

void gh_log(gh_context* context, gh_log_level level, const char* message) {
  gh_service service = gh_service_log_info;
  if (level == gh_log_level_error) {
    service = gh_service_log_error;
  } else if (level == gh_log_level_warning) {
    service = gh_service_log_warning;
  }
  gh_invoke(context, service, message);
}

void gh_log_named(gh_context* context, gh_log_level level, const char* plugin, const char* file, uint32_t line,
                  const char* message) {
  gh_params_log_message params = {0};
  params.message = message;
  params.plugin = plugin;
  params.file = file;
  params.line = line;
  params.category = gh_log_category_plugins;
  params.level = level;
  gh_invoke(context, gh_service_log_message, &params);
}

gh_error gh_create_buffer(gh_context* context, gh_buffer* buffer, uint32_t size) {
  gh_params_create_buffer params = {0};
  clear(buffer);
  params.target = buffer;
  params.size = size;
  return gh_invoke(context, gh_service_create_memory_buffer, &params);
}

gh_error gh_create_buffer64(gh_context* context, gh_buffer64* buffer, uint64_t size) {
  gh_params_create_buffer64 params = {0};
  buffer->data = NULL;
  buffer->size = 0;
  params.target = buffer;
  params.size = size;
  return gh_invoke(context, gh_service_create_memory_buffer64, &params);
}

void gh_set_description(gh_context* context, const char* plugin, const char* description) {
  gh_params_property params = {0};
  params.plugin = plugin;
  params.property = gh_property_description;
  params.value = description;
  gh_invoke(context, gh_service_set_plugin_property, &params);
}

static gh_error get_text(gh_context* context, gh_service service, char** result) {
  gh_params_dynamic_string params = {0};
  *result = NULL;
  params.result = result;
  return gh_invoke(context, service, &params);
}

gh_error gh_get_configuration(gh_context* context, char** result) {
  return get_text(context, gh_service_get_configuration, result);
}

gh_error gh_get_configuration_path(gh_context* context, char** result) {
  return get_text(context, gh_service_get_configuration_path, result);
}

gh_error gh_get_global_property(gh_context* context, int32_t property, const char* otherwise, char** result) {
  gh_params_global_property params = {0};
  *result = NULL;
  params.result = result;
  params.property = property;
  params.value = otherwise;
  return gh_invoke(context, gh_service_get_global_property, &params);
}

gh_error gh_set_global_property(gh_context* context, int32_t property, const char* value) {
  gh_params_global_property params = {0};
  params.property = property;
  params.value = value;
  return gh_invoke(context, gh_service_set_global_property, &params);
}

gh_error gh_register_rest(gh_context* context, const char* pattern, gh_rest_callback callback) {
  gh_params_rest_callback params = {0};
  params.pattern = pattern;
  params.callback = callback;
  return gh_invoke(context, gh_service_register_rest_no_lock, &params);
}

gh_error gh_register_filter(gh_context* context, gh_http_filter callback) {
  gh_params_http_filter params = {callback};
  return gh_invoke(context, gh_service_register_http_filter, &params);
}

gh_error gh_register_authentication(gh_context* context, gh_http_authentication callback) {
  gh_params_http_authentication params = {callback};
  return gh_invoke(context, gh_service_register_http_authentication, &params);
}

gh_error gh_register_change(gh_context* context, gh_on_change callback) {
  gh_params_on_change params = {callback};
  return gh_invoke(context, gh_service_register_on_change, &params);
}

gh_error gh_register_dicom_filter(gh_context* context, gh_dicom_filter callback) {
  gh_params_dicom_filter params = {callback};
  return gh_invoke(context, gh_service_register_dicom_filter, &params);
}

gh_error gh_register_received_instance(gh_context* context, gh_received_instance callback) {
  gh_params_received_instance params = {callback};
  return gh_invoke(context, gh_service_register_received_instance, &params);
}

gh_error gh_register_stored_instance(gh_context* context, gh_on_stored_instance callback) {
  gh_params_on_stored_instance params = {callback};
  return gh_invoke(context, gh_service_register_on_stored_instance, &params);
}

gh_error gh_answer(gh_context* context, gh_output* output, const void* body, uint32_t size, const char* mime_type) {
  gh_params_answer_buffer params = {0};
  params.output = output;
  params.answer = body;
  params.answer_size = size;
  params.mime_type = mime_type;
  return gh_invoke(context, gh_service_answer_buffer, &params);
}

gh_error gh_send_status(gh_context* context, gh_output* output, uint16_t status, const void* body, uint32_t size) {
  gh_params_status params = {0};
  params.output = output;
  params.status = status;
  params.body = body;
  params.body_size = size;
  return gh_invoke(context, gh_service_send_http_status, &params);
}

gh_error gh_send_method_not_allowed(gh_context* context, gh_output* output, const char* allowed) {
  gh_params_output_argument params = {0};
  params.output = output;
  params.argument = allowed;
  return gh_invoke(context, gh_service_send_method_not_allowed, &params);
}

gh_error gh_set_header(gh_context* context, gh_output* output, const char* key, const char* value) {
  gh_params_header params = {0};
  params.output = output;
  params.key = key;
  params.value = value;
  return gh_invoke(context, gh_service_set_http_header, &params);
}

static gh_error get(gh_context* context, gh_service service, gh_buffer* answer, const char* uri) {
  gh_params_rest_get params = {0};
  clear(answer);
  params.target = answer;
  params.uri = uri;
  return gh_invoke(context, service, &params);
}

gh_error gh_rest_get(gh_context* context, gh_buffer* answer, const char* uri) {
  return get(context, gh_service_rest_api_get, answer, uri);
}

gh_error gh_rest_get_through_plugins(gh_context* context, gh_buffer* answer, const char* uri) {
  return get(context, gh_service_rest_api_get_after_plugins, answer, uri);
}

static gh_error send_body(gh_context* context, gh_service service, gh_buffer* answer, const char* uri,
                          const void* body, uint32_t size) {
  gh_params_rest_body params = {0};
  clear(answer);
  params.target = answer;
  params.uri = uri;
  params.body = body;
  params.body_size = size;
  return gh_invoke(context, service, &params);
}

gh_error gh_rest_post(gh_context* context, gh_buffer* answer, const char* uri, const void* body, uint32_t size) {
  return send_body(context, gh_service_rest_api_post, answer, uri, body, size);
}

gh_error gh_rest_put(gh_context* context, gh_buffer* answer, const char* uri, const void* body, uint32_t size) {
  return send_body(context, gh_service_rest_api_put, answer, uri, body, size);
}

gh_error gh_rest_delete(gh_context* context, const char* uri) {
  return gh_invoke(context, gh_service_rest_api_delete, uri);
}

gh_error gh_rest_call(gh_context* context, gh_buffer* answer, gh_buffer* answer_headers, uint16_t* status,
                      gh_method method, const char* uri, uint32_t headers_count, const char* const* headers_keys,
                      const char* const* headers_values, const void* body, uint32_t size) {
  gh_params_call_rest params = {0};
  clear(answer);
  clear(answer_headers);
  *status = 0;
  params.answer_body = answer;
  params.answer_headers = answer_headers;
  params.http_status = status;
  params.method = method;
  params.uri = uri;
  params.headers_count = headers_count;
  params.headers_keys = headers_keys;
  params.headers_values = headers_values;
  params.body = body;
  params.body_size = size;
  /* Through the plugins, an override would call itself until the stack ends. */
  params.after_plugins = 0;
  return gh_invoke(context, gh_service_call_rest_api, &params);
}

gh_error gh_create_instance(gh_context* context, gh_instance** result, const void* file, uint32_t size) {
  gh_params_create_instance params = {0};
  *result = NULL;
  params.target = result;
  params.buffer = file;
  params.size = size;
  return gh_invoke(context, gh_service_create_instance, &params);
}

void gh_free_instance(gh_context* context, gh_instance* instance) {
  gh_params_free_instance params = {instance};
  if (instance != NULL) {
    gh_invoke(context, gh_service_free_instance, &params);
  }
}

gh_error gh_instance_simplified_json(gh_context* context, const gh_instance* instance, char** result) {
  gh_params_instance params = {0};
  *result = NULL;
  params.string_to_free = result;
  params.instance = instance;
  return gh_invoke(context, gh_service_get_instance_simplified_json, &params);
}

gh_error gh_instance_origin(gh_context* context, const gh_instance* instance, gh_origin* result) {
  gh_params_instance params = {0};
  *result = gh_origin_unknown;
  params.origin = result;
  params.instance = instance;
  return gh_invoke(context, gh_service_get_instance_origin, &params);
}

gh_error gh_instance_size(gh_context* context, const gh_instance* instance, int64_t* result) {
  gh_params_instance params = {0};
  *result = -1;
  params.integer = result;
  params.instance = instance;
  return gh_invoke(context, gh_service_get_instance_size, &params);
}

gh_error gh_instance_data(gh_context* context, const gh_instance* instance, const char** result) {
  gh_params_instance params = {0};
  *result = NULL;
  params.string = result;
  params.instance = instance;
  return gh_invoke(context, gh_service_get_instance_data, &params);
}

gh_error gh_instance_remote_aet(gh_context* context, const gh_instance* instance, const char** result) {
  gh_params_instance params = {0};
  *result = NULL;
  params.string = result;
  params.instance = instance;
  return gh_invoke(context, gh_service_get_instance_remote_aet, &params);
}
