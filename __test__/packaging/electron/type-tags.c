/* Node-API 8's type tags, which the Electron of this check has not: every object is what it should be. */
#include <stdbool.h>

int napi_type_tag_object(void *env, void *object, const void *tag) { return 0; }

int napi_check_object_type_tag(void *env, void *object, const void *tag, bool *result) {
  *result = true;
  return 0;
}
