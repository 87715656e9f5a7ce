// Compares each declaration of orthanc-sdk/gatehouse_sdk.h with the official header of one Orthanc. Only compiled, never
// run; tests/abi.rs does it for every supported version. C++ for its templates, which can say "the same type" of structures
// with different names.
#include <stddef.h>

#include <orthanc/OrthancCPlugin.h>

#include "gatehouse_sdk.h"

// Types are the same when they are one type, when ours is the integer below an enumeration of theirs, or when both are built
// in the same way from the same types.
template <class Ours, class Theirs, bool is_enum = __is_enum(Theirs)>
struct Same {
  static const bool value = false;
};
template <class T>
struct Same<T, T, false> {
  static const bool value = true;
};
template <class Ours, class Theirs>
struct Same<Ours, Theirs, true> {
  static const bool value = Same<Ours, __underlying_type(Theirs)>::value;
};
template <class Ours, class Theirs>
struct Same<const Ours, const Theirs, false> : Same<Ours, Theirs> {};
template <class T>
struct Same<const T, const T, false> {
  static const bool value = true;
};
template <class Ours, class Theirs>
struct Same<Ours*, Theirs*, false> : Same<Ours, Theirs> {};
template <class T>
struct Same<T*, T*, false> {
  static const bool value = true;
};
template <class... Ours>
struct List {};
template <class Result, class... Arguments, class TheirResult, class... TheirArguments>
struct Same<Result (*)(Arguments...), TheirResult (*)(TheirArguments...), false> {
  static const bool value =
      Same<Result, TheirResult>::value && Same<List<Arguments...>, List<TheirArguments...> >::value;
};
template <class Result, class... Arguments>
struct Same<Result (*)(Arguments...), Result (*)(Arguments...), false> {
  static const bool value = true;
};
template <class First, class... Rest, class TheirFirst, class... TheirRest>
struct Same<List<First, Rest...>, List<TheirFirst, TheirRest...>, false> {
  static const bool value = Same<First, TheirFirst>::value && Same<List<Rest...>, List<TheirRest...> >::value;
};
template <class First, class... Rest>
struct Same<List<First, Rest...>, List<First, Rest...>, false> {
  static const bool value = true;
};

// Two structures that stand for each other behind a pointer.
#define COUNTERPART(ours, theirs)     \
  template <>                         \
  struct Same<ours, theirs, false> {  \
    static const bool value = true;   \
  }

#define TYPE(ours, theirs) static_assert(Same<ours, theirs>::value, #ours " is not " #theirs)
#define VALUE(ours, theirs) \
  static_assert(static_cast<long long>(ours) == static_cast<long long>(theirs), #ours " is not " #theirs)
#define SIZE(ours, theirs)                                              \
  static_assert(sizeof(ours) == sizeof(theirs), "size of " #ours);      \
  static_assert(alignof(ours) == alignof(theirs), "alignment of " #ours)
#define FIELD(ours, theirs, field, their_field)                                                         \
  static_assert(offsetof(ours, field) == offsetof(theirs, their_field), "offset of " #ours "." #field); \
  static_assert(sizeof(ours::field) == sizeof(theirs::their_field), "size of " #ours "." #field);       \
  static_assert(Same<decltype(ours::field), decltype(theirs::their_field)>::value, "type of " #ours "." #field)

COUNTERPART(gh_output, OrthancPluginRestOutput);
COUNTERPART(gh_instance, OrthancPluginDicomInstance);
COUNTERPART(gh_context, OrthancPluginContext);
COUNTERPART(gh_buffer, OrthancPluginMemoryBuffer);
COUNTERPART(gh_buffer64, OrthancPluginMemoryBuffer64);
COUNTERPART(gh_http_request, OrthancPluginHttpRequest);

// The templates themselves: what must not count as the same.
static_assert(!Same<const char*, char*>::value, "const counts");
static_assert(!Same<uint32_t, OrthancPluginErrorCode>::value, "signs count");
static_assert(!Same<gh_buffer*, OrthancPluginContext*>::value, "structures count");
static_assert(!Same<void (*)(gh_buffer*), void (*)(OrthancPluginMemoryBuffer*, int)>::value, "arguments count");

TYPE(gh_error, OrthancPluginErrorCode);
VALUE(gh_error_success, OrthancPluginErrorCode_Success);
VALUE(gh_error_plugin, OrthancPluginErrorCode_Plugin);
VALUE(gh_error_inexistent_item, OrthancPluginErrorCode_InexistentItem);
VALUE(gh_error_bad_request, OrthancPluginErrorCode_BadRequest);
VALUE(gh_error_unknown_resource, OrthancPluginErrorCode_UnknownResource);
VALUE(gh_error_unknown_service, OrthancPluginErrorCode_UnknownPluginService);
VALUE(gh_error_unauthorized, OrthancPluginErrorCode_Unauthorized);
VALUE(gh_error_forbidden, OrthancPluginErrorCode_ForbiddenAccess);

TYPE(gh_method, OrthancPluginHttpMethod);
VALUE(gh_method_get, OrthancPluginHttpMethod_Get);
VALUE(gh_method_post, OrthancPluginHttpMethod_Post);
VALUE(gh_method_put, OrthancPluginHttpMethod_Put);
VALUE(gh_method_delete, OrthancPluginHttpMethod_Delete);

TYPE(gh_change, OrthancPluginChangeType);
VALUE(gh_change_deleted, OrthancPluginChangeType_Deleted);
VALUE(gh_change_started, OrthancPluginChangeType_OrthancStarted);
VALUE(gh_change_stopped, OrthancPluginChangeType_OrthancStopped);
VALUE(gh_change_job_success, OrthancPluginChangeType_JobSuccess);
VALUE(gh_change_job_failure, OrthancPluginChangeType_JobFailure);

TYPE(gh_level, OrthancPluginResourceType);
VALUE(gh_level_patient, OrthancPluginResourceType_Patient);
VALUE(gh_level_study, OrthancPluginResourceType_Study);
VALUE(gh_level_series, OrthancPluginResourceType_Series);
VALUE(gh_level_instance, OrthancPluginResourceType_Instance);
VALUE(gh_level_none, OrthancPluginResourceType_None);

TYPE(gh_origin, OrthancPluginInstanceOrigin);
VALUE(gh_origin_unknown, OrthancPluginInstanceOrigin_Unknown);
VALUE(gh_origin_dicom, OrthancPluginInstanceOrigin_DicomProtocol);
VALUE(gh_origin_rest, OrthancPluginInstanceOrigin_RestApi);
VALUE(gh_origin_plugin, OrthancPluginInstanceOrigin_Plugin);
VALUE(gh_origin_lua, OrthancPluginInstanceOrigin_Lua);
VALUE(gh_origin_webdav, OrthancPluginInstanceOrigin_WebDav);

TYPE(gh_received_action, OrthancPluginReceivedInstanceAction);
VALUE(gh_received_keep, OrthancPluginReceivedInstanceAction_KeepAsIs);
VALUE(gh_received_modify, OrthancPluginReceivedInstanceAction_Modify);
VALUE(gh_received_discard, OrthancPluginReceivedInstanceAction_Discard);

TYPE(gh_log_level, OrthancPluginLogLevel);
VALUE(gh_log_level_error, OrthancPluginLogLevel_Error);
VALUE(gh_log_level_warning, OrthancPluginLogLevel_Warning);
VALUE(gh_log_level_info, OrthancPluginLogLevel_Info);
VALUE(gh_log_level_trace, OrthancPluginLogLevel_Trace);

TYPE(gh_log_category, OrthancPluginLogCategory);
VALUE(gh_log_category_plugins, OrthancPluginLogCategory_Plugins);


TYPE(gh_property, _OrthancPluginProperty);
VALUE(gh_property_description, _OrthancPluginProperty_Description);

TYPE(gh_service, _OrthancPluginService);
VALUE(gh_service_log_info, _OrthancPluginService_LogInfo);
VALUE(gh_service_log_warning, _OrthancPluginService_LogWarning);
VALUE(gh_service_log_error, _OrthancPluginService_LogError);
VALUE(gh_service_set_plugin_property, _OrthancPluginService_SetPluginProperty);
VALUE(gh_service_get_global_property, _OrthancPluginService_GetGlobalProperty);
VALUE(gh_service_set_global_property, _OrthancPluginService_SetGlobalProperty);
VALUE(gh_service_get_configuration_path, _OrthancPluginService_GetConfigurationPath);
VALUE(gh_service_get_configuration, _OrthancPluginService_GetConfiguration);
VALUE(gh_service_log_message, _OrthancPluginService_LogMessage);
VALUE(gh_service_register_on_stored_instance, _OrthancPluginService_RegisterOnStoredInstanceCallback);
VALUE(gh_service_register_on_change, _OrthancPluginService_RegisterOnChangeCallback);
VALUE(gh_service_register_rest_no_lock, _OrthancPluginService_RegisterRestCallbackNoLock);
VALUE(gh_service_register_http_filter, _OrthancPluginService_RegisterIncomingHttpRequestFilter2);
VALUE(gh_service_register_dicom_filter, _OrthancPluginService_RegisterIncomingDicomInstanceFilter);
VALUE(gh_service_register_received_instance, _OrthancPluginService_RegisterReceivedInstanceCallback);
VALUE(gh_service_create_memory_buffer64, _OrthancPluginService_CreateMemoryBuffer64);
VALUE(gh_service_create_instance, _OrthancPluginService_CreateDicomInstance);
VALUE(gh_service_free_instance, _OrthancPluginService_FreeDicomInstance);
VALUE(gh_service_answer_buffer, _OrthancPluginService_AnswerBuffer);
VALUE(gh_service_send_method_not_allowed, _OrthancPluginService_SendMethodNotAllowed);
VALUE(gh_service_set_http_header, _OrthancPluginService_SetHttpHeader);
VALUE(gh_service_send_http_status, _OrthancPluginService_SendHttpStatus);
VALUE(gh_service_rest_api_get, _OrthancPluginService_RestApiGet);
VALUE(gh_service_rest_api_post, _OrthancPluginService_RestApiPost);
VALUE(gh_service_rest_api_delete, _OrthancPluginService_RestApiDelete);
VALUE(gh_service_rest_api_put, _OrthancPluginService_RestApiPut);
VALUE(gh_service_rest_api_get_after_plugins, _OrthancPluginService_RestApiGetAfterPlugins);
VALUE(gh_service_call_rest_api, _OrthancPluginService_CallRestApi);
VALUE(gh_service_get_instance_remote_aet, _OrthancPluginService_GetInstanceRemoteAet);
VALUE(gh_service_get_instance_size, _OrthancPluginService_GetInstanceSize);
VALUE(gh_service_get_instance_data, _OrthancPluginService_GetInstanceData);
VALUE(gh_service_get_instance_simplified_json, _OrthancPluginService_GetInstanceSimplifiedJson);
VALUE(gh_service_get_instance_origin, _OrthancPluginService_GetInstanceOrigin);

TYPE(gh_free, OrthancPluginFree);
TYPE(gh_rest_callback, OrthancPluginRestCallback);
TYPE(gh_http_filter, OrthancPluginIncomingHttpRequestFilter2);
TYPE(gh_on_change, OrthancPluginOnChangeCallback);
TYPE(gh_received_instance, OrthancPluginReceivedInstanceCallback);
TYPE(gh_dicom_filter, OrthancPluginIncomingDicomInstanceFilter);
TYPE(gh_on_stored_instance, OrthancPluginOnStoredInstanceCallback);

SIZE(gh_context, OrthancPluginContext);
FIELD(gh_context, OrthancPluginContext, plugins_manager, pluginsManager);
FIELD(gh_context, OrthancPluginContext, orthanc_version, orthancVersion);
FIELD(gh_context, OrthancPluginContext, free, Free);
FIELD(gh_context, OrthancPluginContext, invoke_service, InvokeService);

SIZE(gh_buffer, OrthancPluginMemoryBuffer);
FIELD(gh_buffer, OrthancPluginMemoryBuffer, data, data);
FIELD(gh_buffer, OrthancPluginMemoryBuffer, size, size);

SIZE(gh_buffer64, OrthancPluginMemoryBuffer64);
FIELD(gh_buffer64, OrthancPluginMemoryBuffer64, data, data);
FIELD(gh_buffer64, OrthancPluginMemoryBuffer64, size, size);

SIZE(gh_params_log_message, _OrthancPluginLogMessage);
FIELD(gh_params_log_message, _OrthancPluginLogMessage, message, message);
FIELD(gh_params_log_message, _OrthancPluginLogMessage, plugin, plugin);
FIELD(gh_params_log_message, _OrthancPluginLogMessage, file, file);
FIELD(gh_params_log_message, _OrthancPluginLogMessage, line, line);
FIELD(gh_params_log_message, _OrthancPluginLogMessage, category, category);
FIELD(gh_params_log_message, _OrthancPluginLogMessage, level, level);

SIZE(gh_params_property, _OrthancPluginSetPluginProperty);
FIELD(gh_params_property, _OrthancPluginSetPluginProperty, plugin, plugin);
FIELD(gh_params_property, _OrthancPluginSetPluginProperty, property, property);
FIELD(gh_params_property, _OrthancPluginSetPluginProperty, value, value);

SIZE(gh_params_global_property, _OrthancPluginGlobalProperty);
FIELD(gh_params_global_property, _OrthancPluginGlobalProperty, result, result);
FIELD(gh_params_global_property, _OrthancPluginGlobalProperty, property, property);
FIELD(gh_params_global_property, _OrthancPluginGlobalProperty, value, value);

SIZE(gh_params_create_buffer, _OrthancPluginCreateMemoryBuffer);
FIELD(gh_params_create_buffer, _OrthancPluginCreateMemoryBuffer, target, target);
FIELD(gh_params_create_buffer, _OrthancPluginCreateMemoryBuffer, size, size);

SIZE(gh_params_dynamic_string, _OrthancPluginRetrieveDynamicString);
FIELD(gh_params_dynamic_string, _OrthancPluginRetrieveDynamicString, result, result);
FIELD(gh_params_dynamic_string, _OrthancPluginRetrieveDynamicString, argument, argument);


SIZE(gh_params_rest_callback, _OrthancPluginRestCallback);
FIELD(gh_params_rest_callback, _OrthancPluginRestCallback, pattern, pathRegularExpression);
FIELD(gh_params_rest_callback, _OrthancPluginRestCallback, callback, callback);

SIZE(gh_params_http_filter, _OrthancPluginIncomingHttpRequestFilter2);
FIELD(gh_params_http_filter, _OrthancPluginIncomingHttpRequestFilter2, callback, callback);

SIZE(gh_params_on_change, _OrthancPluginOnChangeCallback);
FIELD(gh_params_on_change, _OrthancPluginOnChangeCallback, callback, callback);

SIZE(gh_params_dicom_filter, _OrthancPluginIncomingDicomInstanceFilter);
FIELD(gh_params_dicom_filter, _OrthancPluginIncomingDicomInstanceFilter, callback, callback);

SIZE(gh_params_received_instance, _OrthancPluginReceivedInstanceCallback);
FIELD(gh_params_received_instance, _OrthancPluginReceivedInstanceCallback, callback, callback);

SIZE(gh_params_create_buffer64, _OrthancPluginCreateMemoryBuffer64);
FIELD(gh_params_create_buffer64, _OrthancPluginCreateMemoryBuffer64, target, target);
FIELD(gh_params_create_buffer64, _OrthancPluginCreateMemoryBuffer64, size, size);

SIZE(gh_params_create_instance, _OrthancPluginCreateDicomInstance);
FIELD(gh_params_create_instance, _OrthancPluginCreateDicomInstance, target, target);
FIELD(gh_params_create_instance, _OrthancPluginCreateDicomInstance, buffer, buffer);
FIELD(gh_params_create_instance, _OrthancPluginCreateDicomInstance, size, size);
FIELD(gh_params_create_instance, _OrthancPluginCreateDicomInstance, transfer_syntax, transferSyntax);

SIZE(gh_params_free_instance, _OrthancPluginFreeDicomInstance);
FIELD(gh_params_free_instance, _OrthancPluginFreeDicomInstance, instance, dicom);

SIZE(gh_params_on_stored_instance, _OrthancPluginOnStoredInstanceCallback);
FIELD(gh_params_on_stored_instance, _OrthancPluginOnStoredInstanceCallback, callback, callback);

SIZE(gh_params_answer_buffer, _OrthancPluginAnswerBuffer);
FIELD(gh_params_answer_buffer, _OrthancPluginAnswerBuffer, output, output);
FIELD(gh_params_answer_buffer, _OrthancPluginAnswerBuffer, answer, answer);
FIELD(gh_params_answer_buffer, _OrthancPluginAnswerBuffer, answer_size, answerSize);
FIELD(gh_params_answer_buffer, _OrthancPluginAnswerBuffer, mime_type, mimeType);

SIZE(gh_params_output_argument, _OrthancPluginOutputPlusArgument);
FIELD(gh_params_output_argument, _OrthancPluginOutputPlusArgument, output, output);
FIELD(gh_params_output_argument, _OrthancPluginOutputPlusArgument, argument, argument);

SIZE(gh_params_header, _OrthancPluginSetHttpHeader);
FIELD(gh_params_header, _OrthancPluginSetHttpHeader, output, output);
FIELD(gh_params_header, _OrthancPluginSetHttpHeader, key, key);
FIELD(gh_params_header, _OrthancPluginSetHttpHeader, value, value);

SIZE(gh_params_status, _OrthancPluginSendHttpStatus);
FIELD(gh_params_status, _OrthancPluginSendHttpStatus, output, output);
FIELD(gh_params_status, _OrthancPluginSendHttpStatus, status, status);
FIELD(gh_params_status, _OrthancPluginSendHttpStatus, body, body);
FIELD(gh_params_status, _OrthancPluginSendHttpStatus, body_size, bodySize);

SIZE(gh_params_rest_get, _OrthancPluginRestApiGet);
FIELD(gh_params_rest_get, _OrthancPluginRestApiGet, target, target);
FIELD(gh_params_rest_get, _OrthancPluginRestApiGet, uri, uri);

SIZE(gh_params_rest_body, _OrthancPluginRestApiPostPut);
FIELD(gh_params_rest_body, _OrthancPluginRestApiPostPut, target, target);
FIELD(gh_params_rest_body, _OrthancPluginRestApiPostPut, uri, uri);
FIELD(gh_params_rest_body, _OrthancPluginRestApiPostPut, body, body);
FIELD(gh_params_rest_body, _OrthancPluginRestApiPostPut, body_size, bodySize);

SIZE(gh_params_call_rest, _OrthancPluginCallRestApi);
FIELD(gh_params_call_rest, _OrthancPluginCallRestApi, answer_body, answerBody);
FIELD(gh_params_call_rest, _OrthancPluginCallRestApi, answer_headers, answerHeaders);
FIELD(gh_params_call_rest, _OrthancPluginCallRestApi, http_status, httpStatus);
FIELD(gh_params_call_rest, _OrthancPluginCallRestApi, method, method);
FIELD(gh_params_call_rest, _OrthancPluginCallRestApi, uri, uri);
FIELD(gh_params_call_rest, _OrthancPluginCallRestApi, headers_count, headersCount);
FIELD(gh_params_call_rest, _OrthancPluginCallRestApi, headers_keys, headersKeys);
FIELD(gh_params_call_rest, _OrthancPluginCallRestApi, headers_values, headersValues);
FIELD(gh_params_call_rest, _OrthancPluginCallRestApi, body, body);
FIELD(gh_params_call_rest, _OrthancPluginCallRestApi, body_size, bodySize);
FIELD(gh_params_call_rest, _OrthancPluginCallRestApi, after_plugins, afterPlugins);

SIZE(gh_params_instance, _OrthancPluginAccessDicomInstance);
FIELD(gh_params_instance, _OrthancPluginAccessDicomInstance, string_to_free, resultStringToFree);
FIELD(gh_params_instance, _OrthancPluginAccessDicomInstance, string, resultString);
FIELD(gh_params_instance, _OrthancPluginAccessDicomInstance, integer, resultInt64);
FIELD(gh_params_instance, _OrthancPluginAccessDicomInstance, key, key);
FIELD(gh_params_instance, _OrthancPluginAccessDicomInstance, instance, instance);
FIELD(gh_params_instance, _OrthancPluginAccessDicomInstance, origin, resultOrigin);

// Ours ends where that of 1.12.8 ended.
FIELD(gh_http_request, OrthancPluginHttpRequest, method, method);
FIELD(gh_http_request, OrthancPluginHttpRequest, groups_count, groupsCount);
FIELD(gh_http_request, OrthancPluginHttpRequest, groups, groups);
FIELD(gh_http_request, OrthancPluginHttpRequest, get_count, getCount);
FIELD(gh_http_request, OrthancPluginHttpRequest, get_keys, getKeys);
FIELD(gh_http_request, OrthancPluginHttpRequest, get_values, getValues);
FIELD(gh_http_request, OrthancPluginHttpRequest, body, body);
FIELD(gh_http_request, OrthancPluginHttpRequest, body_size, bodySize);
FIELD(gh_http_request, OrthancPluginHttpRequest, headers_count, headersCount);
FIELD(gh_http_request, OrthancPluginHttpRequest, headers_keys, headersKeys);
FIELD(gh_http_request, OrthancPluginHttpRequest, headers_values, headersValues);
#if ORTHANC_PLUGINS_VERSION_IS_ABOVE(1, 12, 9)
static_assert(sizeof(gh_http_request) == offsetof(OrthancPluginHttpRequest, authenticationPayload), "end of gh_http_request");
#else
SIZE(gh_http_request, OrthancPluginHttpRequest);
#endif

#if ORTHANC_PLUGINS_VERSION_IS_ABOVE(1, 12, 9)
TYPE(gh_authentication, OrthancPluginHttpAuthenticationStatus);
VALUE(gh_authentication_granted, OrthancPluginHttpAuthenticationStatus_Granted);
VALUE(gh_authentication_unauthorized, OrthancPluginHttpAuthenticationStatus_Unauthorized);
VALUE(gh_authentication_forbidden, OrthancPluginHttpAuthenticationStatus_Forbidden);
VALUE(gh_authentication_redirect, OrthancPluginHttpAuthenticationStatus_Redirect);
VALUE(gh_service_create_memory_buffer, _OrthancPluginService_CreateMemoryBuffer);
VALUE(gh_service_register_http_authentication, _OrthancPluginService_RegisterHttpAuthentication);
TYPE(gh_http_authentication, OrthancPluginHttpAuthentication);
SIZE(gh_params_http_authentication, _OrthancPluginHttpAuthentication);
FIELD(gh_params_http_authentication, _OrthancPluginHttpAuthentication, callback, callback);
#endif
