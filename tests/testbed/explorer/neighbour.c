/*
 * A plugin that has nothing to do with ours, and calls the server as plugins do.
 *
 *   GET  /neighbour/find     POST /tools/find for all studies, inside the server and through the plugins, without any header
 *   GET  /neighbour/labels   GET /tools/labels in the same way
 *   GET  /neighbour/delete   DELETE of the path that the header "x-delete" names, in the same way
 *
 * With NEIGHBOUR_ANSWERS, a list of paths with commas, it answers these too, as the core would.
 */
#include <orthanc/OrthancCPlugin.h>
#include <stdlib.h>
#include <string.h>

static OrthancPluginContext* context;

static OrthancPluginErrorCode answer(OrthancPluginRestOutput* output, OrthancPluginErrorCode code,
                                     OrthancPluginMemoryBuffer* body) {
  if (code == OrthancPluginErrorCode_Success) {
    OrthancPluginAnswerBuffer(context, output, body->data, body->size, "application/json");
    OrthancPluginFreeMemoryBuffer(context, body);
  }
  return code;
}

static OrthancPluginErrorCode find(OrthancPluginRestOutput* output, const char* url,
                                   const OrthancPluginHttpRequest* request) {
  const char* query = "{\"Level\":\"Study\",\"Query\":{},\"Expand\":true}";
  OrthancPluginMemoryBuffer body = {NULL, 0};
  (void)url;
  (void)request;
  return answer(output, OrthancPluginRestApiPostAfterPlugins(context, &body, "/tools/find", query, strlen(query)),
                &body);
}

static OrthancPluginErrorCode labels(OrthancPluginRestOutput* output, const char* url,
                                     const OrthancPluginHttpRequest* request) {
  OrthancPluginMemoryBuffer body = {NULL, 0};
  (void)url;
  (void)request;
  return answer(output, OrthancPluginRestApiGetAfterPlugins(context, &body, "/tools/labels"), &body);
}

static OrthancPluginErrorCode delete(OrthancPluginRestOutput* output, const char* url,
                                     const OrthancPluginHttpRequest* request) {
  OrthancPluginErrorCode code = OrthancPluginErrorCode_BadRequest;
  uint32_t i;
  (void)url;
  for (i = 0; i < request->headersCount; i++) {
    if (strcmp(request->headersKeys[i], "x-delete") == 0) {
      code = OrthancPluginRestApiDeleteAfterPlugins(context, request->headersValues[i]);
    }
  }
  if (code == OrthancPluginErrorCode_Success) {
    OrthancPluginAnswerBuffer(context, output, "{}", 2, "application/json");
  }
  return code;
}

static OrthancPluginErrorCode as_the_core(OrthancPluginRestOutput* output, const char* url,
                                          const OrthancPluginHttpRequest* request) {
  OrthancPluginMemoryBuffer body = {NULL, 0};
  return answer(output,
                request->method == OrthancPluginHttpMethod_Post
                    ? OrthancPluginRestApiPost(context, &body, url, request->body, request->bodySize)
                    : OrthancPluginRestApiGet(context, &body, url),
                &body);
}

ORTHANC_PLUGINS_API int32_t OrthancPluginInitialize(OrthancPluginContext* given) {
  const char* answers = getenv("NEIGHBOUR_ANSWERS");
  context = given;
  OrthancPluginRegisterRestCallbackNoLock(context, "/neighbour/find", find);
  OrthancPluginRegisterRestCallbackNoLock(context, "/neighbour/labels", labels);
  OrthancPluginRegisterRestCallbackNoLock(context, "/neighbour/delete", delete);
  if (answers != NULL) {
    char* paths = strdup(answers);
    char* path;
    for (path = strtok(paths, ","); path != NULL; path = strtok(NULL, ",")) {
      OrthancPluginRegisterRestCallbackNoLock(context, path, as_the_core);
    }
    free(paths);
  }
  return 0;
}

ORTHANC_PLUGINS_API void OrthancPluginFinalize(void) {}

ORTHANC_PLUGINS_API const char* OrthancPluginGetName(void) { return "neighbour"; }

ORTHANC_PLUGINS_API const char* OrthancPluginGetVersion(void) { return "1"; }
