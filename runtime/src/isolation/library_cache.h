// The private libraries on disk.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/src/isolation/elf_edit.h"
#include "runtime/src/isolation/elf_image.h"
#include "runtime/src/isolation/file_identity.h"
#include "runtime/src/isolation/owned_fd.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

// One generation: the copies made from one state of one Python environment. It is a folder
//
//   <root>/<hash of the environment>/<hash of the state>/<interpreter>/<hash>/<file name>
//
// with a lock file that each process that uses it holds shared, for as long as it lives.
// Any number of processes may use and fill a generation at once: a copy is written aside
// and renamed, and two that make the same copy make equal ones.
//
// Thread-safe.
class LibraryCache {
 public:
  // Opens (or begins) the generation of `environment` whose roots are in the state given.
  // Generations of that environment that no process has locked are removed, as are those of
  // environments that are no longer there. `environment` is the path of its Python.
  //
  // kPermissionDenied, kResourceExhausted, naming the folder.
  static Result<std::unique_ptr<LibraryCache>> Open(const std::string& root,
                                                    const std::string& environment,
                                                    const std::vector<FileIdentity>& state);

  // Where the copy of `source` for `interpreter` is or will be. Its file name stays (py-spy
  // finds libpython by it).
  [[nodiscard]] std::string PathFor(uint32_t interpreter, const FileIdentity& source) const;

  // What must stand in the seal of that copy.
  [[nodiscard]] static std::string SealFor(const FileIdentity& source, const std::string& path);

  // Makes sure that a whole copy of `original`, edited so, is at `path`. One that is there is
  // used if its size, its time stamp and every edited byte are right, else it is made anew.
  [[nodiscard]] Status Store(const ElfImage& original, const ElfEdit& edit,
                             const std::string& path) const;

  [[nodiscard]] const std::string& folder() const { return folder_; }

 private:
  LibraryCache(std::string folder, OwnedFd lock)
      : folder_(std::move(folder)), lock_(std::move(lock)) {}

  const std::string folder_;
  const OwnedFd lock_;
};

// The cache folder that `configured` (Options.cache_folder) and the environment ask for.
// kFailedPrecondition when neither it, XDG_CACHE_HOME nor HOME says where.
Result<std::string> CacheRoot(const std::string& configured);

}  // namespace torchdeploy
