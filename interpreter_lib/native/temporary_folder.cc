#include "interpreter_lib/native/temporary_folder.h"

#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <ios>
#include <span>
#include <string>
#include <system_error>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/engine_error.h"

namespace torchdeploy::native {
namespace {

[[noreturn]] void Refuse(const std::string& path) {
  throw EngineError(TD_RESOURCE_EXHAUSTED,
                    "'" + path + "' cannot be written: " + std::generic_category().message(errno));
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
  std::error_code error;
  std::filesystem::path parent = std::filesystem::temp_directory_path(error);
  if (error) {
    parent = "/tmp";
  }
  std::string pattern = parent / ("torchdeploy-" + std::to_string(getpid()) + "-XXXXXX");
  if (mkdtemp(pattern.data()) == nullptr) {
    Refuse(pattern);
  }
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void TemporaryFolder::Write(const std::string& name, std::span<const char> bytes) const {
  const std::filesystem::path path = path_ / name;
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (error || !file) {
    Refuse(path);
  }
}

}  // namespace torchdeploy::native
