/*
 * The one place where a C++ exception of the host can arrive. It turns most of its own into error codes, yet not those of
 * its libraries: a query whose "Expand" is an object makes jsoncpp throw (1.12.7, 1.13.0). The host would catch that
 * further up; on the way it would meet Rust, which ends the process. It must not go further than here.
 */
#include "shim.h"

/* What the host itself answers then: OrthancPluginErrorCode_InternalError. */
static const gh_error internal_error = -1;

extern "C" gh_error gh_invoke(gh_context* context, gh_service service, const void* params) {
  try {
    return context->invoke_service(context, service, params);
  } catch (...) {
    return internal_error;
  }
}
