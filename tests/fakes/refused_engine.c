/* Engines that the host must refuse: the build picks what is wrong with each. */
#include "interpreter_lib/abi/interp_abi.h"

#if defined(TD_WITHOUT_FUNCTIONS)
__attribute__((visibility("default"))) td_code td_engine_get_api(td_engine_api* api) {
  (void)api; /* Claims to speak the caller's version, and fills in nothing. */
  return TD_OK;
}
#elif defined(TD_OF_OTHER_MAJOR)
__attribute__((visibility("default"))) td_code td_engine_get_api(td_engine_api* api) {
  api->abi_major = TD_ABI_MAJOR + 1;
  api->abi_minor = 7;
  return TD_FAILED_PRECONDITION;
}
#else
__attribute__((visibility("default"))) int not_an_engine;
#endif
