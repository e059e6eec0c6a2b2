// A folder for as long as it is needed.
#pragma once

#include <filesystem>
#include <span>
#include <string>

namespace torchdeploy::native {

class TemporaryFolder {
 public:
  // Of this user alone, in $TMPDIR or /tmp. Throws EngineError(TD_RESOURCE_EXHAUSTED), naming it.
  TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  // Writes a file in it, and the folders on the way. `name` is relative, without "..". Throws
  // EngineError(TD_RESOURCE_EXHAUSTED), naming the file.
  void Write(const std::string& name, std::span<const char> bytes) const;

 private:
  std::filesystem::path path_;
};

}  // namespace torchdeploy::native
