/* The least that a plugin of this kind can cost: a filter that allows everything, and overrides that hand the core's
 * bytes on. Built and loaded by `cargo xtask bench` only, against the official header, as the yardstick for ours. */
#include <orthanc/OrthancCPlugin.h>

#include <stddef.h>
#include <stdio.h>

static OrthancPluginContext *context;

static int32_t allow(OrthancPluginHttpMethod method, const char *uri, const char *ip, uint32_t headers_count,
                     const char *const *header_names, const char *const *header_values, uint32_t arguments_count,
                     const char *const *argument_names, const char *const *argument_values)
{
  (void)method, (void)uri, (void)ip, (void)headers_count, (void)header_names, (void)header_values;
  (void)arguments_count, (void)argument_names, (void)argument_values;
  return 1;
}

static OrthancPluginErrorCode pass_on(OrthancPluginRestOutput *output, const char *url,
                                      const OrthancPluginHttpRequest *request)
{
  OrthancPluginMemoryBuffer answer;
  OrthancPluginErrorCode code;
  char full[4096];
  size_t used = (size_t)snprintf(full, sizeof(full), "%s", url);
  uint32_t i;

  for (i = 0; i < request->getCount && used < sizeof(full); i++)
    used += (size_t)snprintf(full + used, sizeof(full) - used, "%c%s=%s", i == 0 ? '?' : '&', request->getKeys[i],
                             request->getValues[i]);
  if (used >= sizeof(full))
    return OrthancPluginErrorCode_ParameterOutOfRange;

  if (request->method == OrthancPluginHttpMethod_Get)
    code = OrthancPluginRestApiGet(context, &answer, full);
  else if (request->method == OrthancPluginHttpMethod_Post)
    code = OrthancPluginRestApiPost(context, &answer, full, request->body, request->bodySize);
  else
    return OrthancPluginErrorCode_BadRequest;

  if (code != OrthancPluginErrorCode_Success)
    return code;
  OrthancPluginAnswerBuffer(context, output, answer.data, answer.size, "application/json");
  OrthancPluginFreeMemoryBuffer(context, &answer);
  return OrthancPluginErrorCode_Success;
}

ORTHANC_PLUGINS_API int32_t OrthancPluginInitialize(OrthancPluginContext *given)
{
  context = given;
  OrthancPluginRegisterIncomingHttpRequestFilter2(context, allow);
  OrthancPluginRegisterRestCallbackNoLock(context, "/studies/([^/]*)", pass_on);
  OrthancPluginRegisterRestCallbackNoLock(context, "/tools/find", pass_on);
  OrthancPluginRegisterRestCallbackNoLock(context, "/tools/count-resources", pass_on);
  return 0;
}

ORTHANC_PLUGINS_API void OrthancPluginFinalize(void)
{
}

ORTHANC_PLUGINS_API const char *OrthancPluginGetName(void)
{
  return "empty-override";
}

ORTHANC_PLUGINS_API const char *OrthancPluginGetVersion(void)
{
  return "0";
}
