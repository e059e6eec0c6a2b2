#include "interpreter_lib/common/engine_api.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "interpreter_lib/abi/interp_abi.h"

namespace torchdeploy {

td_code FillApi(const td_engine_api& own, td_engine_api* asked) {
  if (asked->abi_major != own.abi_major) {
    asked->abi_major = own.abi_major;
    asked->abi_minor = own.abi_minor;
    return TD_FAILED_PRECONDITION;
  }
  const size_t size = std::min(asked->size, sizeof(td_engine_api));
  std::memcpy(asked, &own, size);
  asked->size = size;
  return TD_OK;
}

}  // namespace torchdeploy
