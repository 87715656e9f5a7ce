/*
 * Stands in for the server part of Orthanc Explorer 2, which is in no Debian release: three routes that do what that one was
 * seen to do.
 *
 *   GET  /ui/api/configuration           calls GET /auth/settings/roles, then GET /auth/user/profile inside the server, with all
 *                                        headers of the request and none of its arguments; answers what came, or as that one
 *                                        does when something else than 200 did
 *   GET  /ui/api/emails/templates/{name} and
 *   POST /ui/api/emails/send             are handed on to EXPLORER_EMAILS with EXPLORER_USER and EXPLORER_PASSWORD, and no
 *                                        other header than the type
 */
#include <orthanc/OrthancCPlugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static OrthancPluginContext* context;

static uint16_t inside(const OrthancPluginHttpRequest* request, const char* uri, OrthancPluginMemoryBuffer* body) {
  uint16_t status = 0;
  OrthancPluginErrorCode code = OrthancPluginCallRestApi(
      context, body, NULL, &status, OrthancPluginHttpMethod_Get, uri, request->headersCount, request->headersKeys,
      request->headersValues, NULL, 0, 1 /* through the plugins */);
  return code == OrthancPluginErrorCode_Success ? status : 500;
}

static OrthancPluginErrorCode configuration(OrthancPluginRestOutput* output, const char* url,
                                            const OrthancPluginHttpRequest* request) {
  OrthancPluginMemoryBuffer roles = {NULL, 0}, profile = {NULL, 0};
  uint16_t status = inside(request, "/auth/settings/roles", &roles);
  (void)url;
  if (status == 200 || status == 404) {
    status = inside(request, "/auth/user/profile", &profile);
  }
  if (status == 200) {
    size_t size = roles.size + profile.size + 64;
    char* text = malloc(size);
    int length = snprintf(text, size, "{\"roles\":%.*s,\"profile\":%.*s}", roles.size ? (int)roles.size : 4,
                          roles.size ? (const char*)roles.data : "null", (int)profile.size, (const char*)profile.data);
    OrthancPluginAnswerBuffer(context, output, text, (uint32_t)length, "application/json");
    free(text);
  } else {
    OrthancPluginSendHttpStatusCode(context, output, status == 401 || status == 403 ? 401 : 400);
  }
  OrthancPluginFreeMemoryBuffer(context, &roles);
  OrthancPluginFreeMemoryBuffer(context, &profile);
  return OrthancPluginErrorCode_Success;
}

static OrthancPluginErrorCode hand_on(OrthancPluginRestOutput* output, const char* url,
                                      const OrthancPluginHttpRequest* request) {
  const char* below = "/ui/api/emails/";
  const char *keys[1], *values[1];
  uint32_t count = 0, i;
  char target[1024];
  OrthancPluginMemoryBuffer body = {NULL, 0};
  uint16_t status = 0;
  if (strncmp(url, below, strlen(below)) != 0) {
    return OrthancPluginErrorCode_UnknownResource;
  }
  snprintf(target, sizeof(target), "%s%s", getenv("EXPLORER_EMAILS"), url + strlen(below));
  for (i = 0; i < request->headersCount && count == 0; i++) {
    if (strcmp(request->headersKeys[i], "content-type") == 0) {
      keys[0] = request->headersKeys[i];
      values[0] = request->headersValues[i];
      count = 1;
    }
  }
  OrthancPluginErrorCode code = OrthancPluginHttpClient(
      context, &body, NULL, &status, request->method, target, count, keys, values, request->body,
      (uint32_t)request->bodySize, getenv("EXPLORER_USER"), getenv("EXPLORER_PASSWORD"), 30, NULL, NULL, NULL, 0);
  if (code != OrthancPluginErrorCode_Success) {
    return code;
  }
  if (status == 200) {
    OrthancPluginAnswerBuffer(context, output, body.data, body.size, "text/plain");
  } else {
    OrthancPluginSendHttpStatus(context, output, status, body.data, body.size);
  }
  OrthancPluginFreeMemoryBuffer(context, &body);
  return OrthancPluginErrorCode_Success;
}

ORTHANC_PLUGINS_API int32_t OrthancPluginInitialize(OrthancPluginContext* given) {
  context = given;
  OrthancPluginRegisterRestCallbackNoLock(context, "/ui/api/configuration", configuration);
  OrthancPluginRegisterRestCallbackNoLock(context, "/ui/api/emails/templates/(.*)", hand_on);
  OrthancPluginRegisterRestCallbackNoLock(context, "/ui/api/emails/send", hand_on);
  return 0;
}

ORTHANC_PLUGINS_API void OrthancPluginFinalize(void) {}

ORTHANC_PLUGINS_API const char* OrthancPluginGetName(void) { return "explorer-stand-in"; }

ORTHANC_PLUGINS_API const char* OrthancPluginGetVersion(void) { return "1"; }
