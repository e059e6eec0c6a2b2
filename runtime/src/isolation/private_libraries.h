// The libraries of one interpreter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/src/isolation/elf_edit.h"
#include "runtime/src/isolation/elf_image.h"
#include "runtime/src/isolation/file_identity.h"
#include "runtime/src/isolation/library_cache.h"
#include "runtime/src/isolation/library_search.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

// What becomes of a library when the code that has opened it closes it again.
enum class Closing {
  kNever,      // It stays, as Python's extension modules must.
  kOnRequest,  // It goes, and its file goes when it is loaded. What it needs stays.
};

// Opens libraries for one interpreter: each as a private copy whose needs are private copies
// in turn, but for the short list that is shared (sharing_rules.h).
//
// Thread-safe. Lives as long as the process, since its libraries do.
class PrivateLibraries {
 public:
  // `closing` is of what private code opens, by dlopen().
  PrivateLibraries(uint32_t interpreter, std::shared_ptr<const LibraryCache> cache,
                   std::shared_ptr<const LibrarySearch> search, Closing closing);
  PrivateLibraries(const PrivateLibraries&) = delete;
  PrivateLibraries& operator=(const PrivateLibraries&) = delete;

  // Loads libpython behind the libc shim, and binds the shim to this object. Called once,
  // before Open().
  Status Start(const std::string& libpython, const std::string& shim);

  // dlopen() for the interpreter. `name` null means the interpreter's own program, which is
  // its libpython. `caller` is the path of the copy that asks, "" when unknown. The result is
  // a handle that is never closed; RTLD_GLOBAL is not honoured, nothing private may be global.
  //
  // kNotFound; kFailedPrecondition when it would bring a libtorch or libpython besides the
  // interpreter's own into it; kInternal with the dynamic linker's words.
  Result<void*> Open(const char* name, int flags, const std::string& caller);

 private:
  using FileKey = std::pair<uint64_t, uint64_t>;  // Device and inode.

  // One library of this interpreter.
  struct Copy {
    std::string path;  // Of the copy.
    std::shared_ptr<const ElfImage> original;
    ElfEdit edit;
    std::vector<std::string> rpath;  // Folders that its needs inherit from it.
    bool is_loaded = false;
  };

  // What the shim calls; `context` is the object.
  static void* OpenForShim(void* context, const char* name, int flags, const char* caller,
                           char* message, size_t message_size) noexcept;
  static void CloseForShim(void* context, void* library) noexcept;

  // Open() for private code; what goes with its handle leaves no file behind.
  Result<void*> OpenForCode(const char* name, int flags, const std::string& caller);
  // The path of the original that is meant; `name` null means libpython.
  Result<std::string> Find(const char* name, const std::string& caller) const;
  Result<void*> Load(const std::string& path, int flags, Closing closing);
  // Removes the copy from the cache, and from all that later libraries are matched with. It
  // stays loaded.
  void Forget(const FileKey& key);
  // Makes the copy of the library at `path`, and those of what it needs; returns its path.
  Result<std::string> MakePrivate(const std::string& path, const std::vector<std::string>& rpath,
                                  Closing closing = Closing::kNever);
  // Where the copy goes.
  [[nodiscard]] std::string PathFor(const FileIdentity& original, Closing closing) const;
  Status CheckSingleton(const ElfImage& original);
  Result<Renaming> RenameNeeds(const ElfImage& original, const std::vector<std::string>& rpath);
  // The path to write for one need; nothing when its plain name will do.
  Result<std::optional<std::string>> Resolve(const std::string& need, const ElfImage& needed_by,
                                             const std::vector<std::string>& rpath);
  void ShareLoadedCode();

  const uint32_t interpreter_;
  const std::shared_ptr<const LibraryCache> cache_;
  const std::shared_ptr<const LibrarySearch> search_;
  const Closing closing_;

  // Recursive: a library's constructor may open another one.
  std::recursive_mutex mutex_;
  // Guarded by mutex_.
  std::map<FileKey, Copy> copies_;
  std::map<std::string, FileKey> by_name_;  // DT_SONAME, else file name, of originals.
  std::map<std::string, FileKey> by_copy_path_;
  std::map<std::string, FileKey> singletons_;  // By stem.
  std::string libpython_;                      // The original's path.
  std::string libpython_copy_;
  std::string shim_copy_;
};

}  // namespace torchdeploy
