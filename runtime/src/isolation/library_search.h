// Finds the file that the dynamic linker would load for a name.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/src/isolation/elf_image.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

// Immutable after construction; thread-safe.
// Source: ld.so(8): DT_RPATH of the library and of those that asked for it (unless it has
// a DT_RUNPATH), LD_LIBRARY_PATH, DT_RUNPATH, /etc/ld.so.cache, the system's folders.
class LibrarySearch {
 public:
  // `extra_folders` are looked through last.
  explicit LibrarySearch(std::vector<std::string> extra_folders);

  // The absolute path for a DT_NEEDED name (or one given to dlopen) of `needed_by`.
  // `inherited_rpath` are the folders of DT_RPATHs of those above. Nothing when not found.
  [[nodiscard]] std::optional<std::string> Find(
      const std::string& name, const ElfImage* needed_by,
      const std::vector<std::string>& inherited_rpath) const;

  // Whether the dynamic linker by itself finds `path` for `name`, whoever asks.
  [[nodiscard]] bool IsFoundByName(const std::string& name, const std::string& path) const;

  // The folders of the library's own DT_RPATH; none if a DT_RUNPATH overrides it.
  [[nodiscard]] static std::vector<std::string> RpathFolders(const ElfImage& library);

 private:
  std::vector<std::string> extra_folders_;
  std::vector<std::string> environment_folders_;
  std::map<std::string, std::string> system_cache_;  // Name to path.
};

}  // namespace torchdeploy
