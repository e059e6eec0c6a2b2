#include "runtime/src/engine_handshake.h"

#include <dlfcn.h>

#include <cstdint>
#include <string>

#include "interpreter_lib/abi/interp_abi.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

namespace {

constexpr const char* kCure = "install the same version of torchdeploy for both";

std::string VersionText(uint32_t major, uint32_t minor) {
  return std::to_string(major) + "." + std::to_string(minor);
}

bool Speaks(const td_engine_api& api, uint32_t major, uint32_t least_minor) {
  return api.abi_major == major && api.abi_minor >= least_minor;
}

bool IsComplete(const td_engine_api& api) {
  return api.create != nullptr && api.stop != nullptr && api.open_package != nullptr &&
         api.load_pickle != nullptr && api.global != nullptr && api.attribute != nullptr &&
         api.has_attribute != nullptr && api.call != nullptr && api.to_value != nullptr &&
         api.from_value != nullptr && api.register_module != nullptr && api.pickle != nullptr &&
         api.unpickle != nullptr && api.interrupt != nullptr && api.reset != nullptr &&
         api.release_object != nullptr && api.free_value != nullptr && api.free_error != nullptr &&
         api.collect != nullptr && api.usage != nullptr;
}

}  // namespace

Result<td_engine_api> ReadEngineApi(void* library, const std::string& path) {
  void* const symbol = dlsym(library, "td_engine_get_api");
  if (symbol == nullptr) {
    return Status(Code::kFailedPrecondition,
                  "The library '" + path +
                      "' is not a torchdeploy engine, for it exports no td_engine_get_api: give "
                      "the path of one.");
  }
  td_engine_api api{};
  api.abi_major = TD_ABI_MAJOR;
  api.abi_minor = TD_ABI_MINOR;
  api.size = sizeof api;
  const td_code code = reinterpret_cast<decltype(&td_engine_get_api)>(symbol)(&api);
  if (code != TD_OK || !Speaks(api, TD_ABI_MAJOR, TD_ABI_MINOR)) {
    return Status(Code::kFailedPrecondition,
                  "The engine '" + path + "' speaks version " +
                      VersionText(api.abi_major, api.abi_minor) + " of the waist, this host " +
                      VersionText(TD_ABI_MAJOR, TD_ABI_MINOR) + ": " + kCure + ".");
  }
  if (api.size < sizeof api || !IsComplete(api)) {
    return Status(Code::kFailedPrecondition,
                  "The engine '" + path + "' says that it speaks version " +
                      VersionText(api.abi_major, api.abi_minor) + " of the waist, but its table (" +
                      std::to_string(api.size) + " bytes) lacks functions of it (" +
                      std::to_string(sizeof api) + " bytes): " + kCure + ".");
  }
  return api;
}

}  // namespace torchdeploy
