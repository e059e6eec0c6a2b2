#include "runtime/src/isolation/private_libraries.h"

#include <dlfcn.h>
#include <link.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "interpreter_lib/abi/shim_abi.h"
#include "runtime/src/isolation/code_sharing.h"
#include "runtime/src/isolation/elf_edit.h"
#include "runtime/src/isolation/elf_image.h"
#include "runtime/src/isolation/file_identity.h"
#include "runtime/src/isolation/library_cache.h"
#include "runtime/src/isolation/library_search.h"
#include "runtime/src/isolation/sharing_rules.h"
#include "runtime/src/isolation/standard_streams.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

namespace {

// The copy's own scope goes first: the host may itself hold a libpython or a libtorch.
constexpr int kPrivateFlags = RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND;
constexpr int kSharedFlags = RTLD_NOW | RTLD_LOCAL;

std::string FileName(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

std::string LoadedName(const ElfImage& image) {
  return image.soname().empty() ? FileName(image.identity().path) : image.soname();
}

Status LinkerError(const std::string& path) {
  const char* message = dlerror();  // NOLINT(concurrency-mt-unsafe): glibc's is per thread.
  return {Code::kInternal, message == nullptr ? path + " could not be loaded" : message};
}

Status NoSuchLibrary(const std::string& name) {
  // The dynamic linker's own words: Python code is known to look for them.
  return {Code::kNotFound, name + ": cannot open shared object file: No such file or directory"};
}

// One for the process: what must not run twice at once is what interpreters share.
std::mutex& ForkLock() {
  static std::mutex lock;
  return lock;
}

void BeforeFork(void* /*context*/) {
  ForkLock().lock();
}

void AfterFork(void* /*context*/) {
  ForkLock().unlock();
}

}  // namespace

PrivateLibraries::PrivateLibraries(uint32_t interpreter, std::shared_ptr<const LibraryCache> cache,
                                   std::shared_ptr<const LibrarySearch> search, Closing closing)
    : interpreter_(interpreter),
      cache_(std::move(cache)),
      search_(std::move(search)),
      closing_(closing) {}

Status PrivateLibraries::Start(const std::string& libpython, const std::string& shim) {
  const std::lock_guard lock(mutex_);
  InitializeStandardStreams();
  Result<ElfImage> original = ElfImage::Open(shim);
  if (!original.ok()) {
    return original.status();
  }
  // libpython and the shim need each other: each must know the other's path beforehand.
  Result<FileIdentity> python = IdentifyFile(libpython);
  if (!python.ok()) {
    return python.status();
  }
  libpython_ = libpython;
  libpython_copy_ = cache_->PathFor(interpreter_, *python);
  shim_copy_ = cache_->PathFor(interpreter_, original->identity());
  const Result<ElfEdit> edit =
      PlanEdit(*original, {.needed = {},
                           .in_place_of_libc = "",
                           .also_needed = libpython_copy_,
                           .rpath = "",
                           .symbols = {},
                           .seal = LibraryCache::SealFor(original->identity(), shim_copy_)});
  if (!edit.ok()) {
    return edit.status();
  }
  if (Status status = cache_->Store(*original, *edit, shim_copy_); !status.ok()) {
    return status;
  }
  if (const Result<std::string> copy = MakePrivate(libpython, {}); !copy.ok()) {
    return copy.status();
  }
  void* library = dlopen(shim_copy_.c_str(), kPrivateFlags);
  if (library == nullptr) {
    return LinkerError(shim_copy_);
  }
  ShareLoadedCode();
  const auto bind = reinterpret_cast<td_shim_bind_fn>(dlsym(library, TD_SHIM_BIND_SYMBOL));
  if (bind == nullptr) {
    return {Code::kFailedPrecondition, shim + " is not torchdeploy's libc shim"};
  }
  const td_shim_host host{.size = sizeof host,
                          .context = this,
                          .open_library = OpenForShim,
                          .before_fork = BeforeFork,
                          .after_fork = AfterFork,
                          .close_library = CloseForShim};
  bind(&host);
  return {};
}

Result<void*> PrivateLibraries::Open(const char* name, int flags, const std::string& caller) {
  const std::lock_guard lock(mutex_);
  const Result<std::string> path = Find(name, caller);
  return path.ok() ? Load(*path, flags, Closing::kNever) : path.status();
}

void* PrivateLibraries::OpenForShim(void* context, const char* name, int flags, const char* caller,
                                    char* message, size_t message_size) noexcept {
  try {
    auto* const self = static_cast<PrivateLibraries*>(context);
    const Result<void*> library = self->OpenForCode(name, flags, caller);
    if (library.ok()) {
      return *library;
    }
    std::snprintf(message, message_size, "%s", library.status().message().c_str());
  } catch (const std::exception& error) {  // Out of memory: the caller is C.
    std::snprintf(message, message_size, "%s", error.what());
  }
  return nullptr;
}

void PrivateLibraries::CloseForShim(void* context, void* library) noexcept {
  auto* const self = static_cast<PrivateLibraries*>(context);
  if (self->closing_ == Closing::kOnRequest) {
    // Before the dynamic linker's own lock, as at an opening.
    const std::lock_guard lock(self->mutex_);
    dlclose(library);
  }
}

Result<void*> PrivateLibraries::OpenForCode(const char* name, int flags,
                                            const std::string& caller) {
  const std::lock_guard lock(mutex_);
  if (closing_ == Closing::kNever) {
    return Open(name, flags, caller);
  }
  const Result<std::string> path = Find(name, caller);
  if (!path.ok()) {
    return path.status();
  }
  const Result<FileIdentity> identity = IdentifyFile(*path);
  if (!identity.ok()) {
    return identity.status();
  }
  const FileKey key{identity->device, identity->inode};
  const bool was_known = copies_.contains(key);
  Result<void*> library = Load(*path, flags, closing_);
  if (!was_known) {
    Forget(key);
  }
  return library;
}

void PrivateLibraries::Forget(const FileKey& key) {
  const auto copy = copies_.find(key);
  if (copy == copies_.end()) {
    return;
  }
  // And its folder, which has nothing else.
  const std::filesystem::path path = copy->second.path;
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  std::filesystem::remove(path.parent_path(), ignored);
  const auto is_of_copy = [&](const auto& entry) { return entry.second == key; };
  std::erase_if(by_name_, is_of_copy);
  std::erase_if(by_copy_path_, is_of_copy);
  std::erase_if(singletons_, is_of_copy);
  copies_.erase(copy);
}

Result<std::string> PrivateLibraries::Find(const char* name_or_null,
                                           const std::string& caller) const {
  const std::string name = name_or_null == nullptr ? "" : name_or_null;
  if (name.empty()) {
    return libpython_;
  }
  if (const auto copy = by_copy_path_.find(name); copy != by_copy_path_.end()) {
    return copies_.at(copy->second).original->identity().path;
  }
  // As for the dynamic linker, a loaded library of that name wins over any other file.
  if (const auto loaded = by_name_.find(name); loaded != by_name_.end()) {
    return copies_.at(loaded->second).original->identity().path;
  }
  const ElfImage* needed_by = nullptr;
  std::vector<std::string> rpath;
  if (const auto known = by_copy_path_.find(caller); known != by_copy_path_.end()) {
    const Copy& copy = copies_.at(known->second);
    needed_by = copy.original.get();
    rpath = copy.rpath;
  }
  std::optional<std::string> path = search_->Find(name, needed_by, rpath);
  if (!path) {
    return NoSuchLibrary(name);
  }
  if (path->starts_with(cache_->folder())) {
    return Status(Code::kFailedPrecondition, *path + " belongs to another interpreter");
  }
  return std::filesystem::absolute(*path).string();
}

Result<void*> PrivateLibraries::Load(const std::string& path, int flags, Closing closing) {
  const int no_load = flags & RTLD_NOLOAD;
  if (IsShared(path)) {
    void* library = dlopen(path.c_str(), kSharedFlags | no_load);
    return library == nullptr ? Result<void*>(LinkerError(path)) : Result<void*>(library);
  }
  const Result<std::string> copy = MakePrivate(path, {}, closing);
  if (!copy.ok()) {
    return copy.status();
  }
  void* library = dlopen(copy->c_str(), kPrivateFlags | no_load);
  if (library == nullptr) {
    return LinkerError(*copy);
  }
  ShareLoadedCode();
  return library;
}

Result<std::string> PrivateLibraries::MakePrivate(const std::string& path,
                                                  const std::vector<std::string>& rpath,
                                                  Closing closing) {
  Result<ElfImage> original = ElfImage::Open(path);
  if (!original.ok()) {
    return original.status();
  }
  const FileKey key{original->identity().device, original->identity().inode};
  if (const auto known = copies_.find(key); known != copies_.end()) {
    return known->second.path;
  }
  if (Status status = CheckSingleton(*original); !status.ok()) {
    return status;
  }
  // Known from here on, so that two libraries that need each other do not recurse for ever.
  Copy& copy = copies_[key];
  copy.path = PathFor(original->identity(), closing);
  copy.rpath = LibrarySearch::RpathFolders(*original);
  copy.rpath.insert(copy.rpath.end(), rpath.begin(), rpath.end());
  copy.original = std::make_shared<const ElfImage>(*original);
  const auto forget = [&](const Status& status) {
    copies_.erase(key);
    std::erase_if(singletons_, [&](const auto& entry) { return entry.second == key; });
    return status;
  };
  Result<Renaming> renaming = RenameNeeds(*original, copy.rpath);
  if (!renaming.ok()) {
    return forget(renaming.status());
  }
  if (closing == Closing::kOnRequest) {
    // A destructor for the end of a thread would keep the library until then. The shim's
    // function runs none.
    renaming->symbols = {{"__cxa_thread_atexit", "__cxa_atexit"}};
  }
  renaming->seal = LibraryCache::SealFor(original->identity(), copy.path);
  Result<ElfEdit> edit = PlanEdit(*original, *renaming);
  if (!edit.ok()) {
    return forget(edit.status());
  }
  if (Status status = cache_->Store(*original, *edit, copy.path); !status.ok()) {
    return forget(status);
  }
  copy.edit = *std::move(edit);
  by_name_.emplace(LoadedName(*original), key);
  by_copy_path_.emplace(copy.path, key);
  return copy.path;
}

std::string PrivateLibraries::PathFor(const FileIdentity& original, Closing closing) const {
  const std::filesystem::path path = cache_->PathFor(interpreter_, original);
  if (closing == Closing::kNever) {
    return path;
  }
  // Of this process alone, which removes it.
  const std::string folder = path.parent_path().string() + "-" + std::to_string(getpid());
  return std::filesystem::path(folder) / path.filename();
}

Status PrivateLibraries::CheckSingleton(const ElfImage& original) {
  const FileIdentity& identity = original.identity();
  const std::string stem = LibraryStem(identity.path);
  if (!IsSingleton(stem)) {
    return {};
  }
  const FileKey key{identity.device, identity.inode};
  const auto [own, is_first] = singletons_.emplace(stem, key);
  if (!is_first && own->second != key) {
    return {Code::kFailedPrecondition,
            identity.path + " cannot be loaded: this interpreter has a " + stem + " of its own, " +
                copies_.at(own->second).original->identity().path};
  }
  return {};
}

Result<Renaming> PrivateLibraries::RenameNeeds(const ElfImage& original,
                                               const std::vector<std::string>& rpath) {
  Renaming renaming;
  renaming.in_place_of_libc = shim_copy_;
  for (const std::string& folder : LibrarySearch::RpathFolders(original)) {
    renaming.rpath += (renaming.rpath.empty() ? "" : ":") + folder;
  }
  for (const std::string& need : original.needed()) {
    const Result<std::optional<std::string>> path = Resolve(need, original, rpath);
    if (!path.ok()) {
      return path.status();
    }
    if (*path) {
      renaming.needed.emplace(need, **path);
    }
  }
  return renaming;
}

Result<std::optional<std::string>> PrivateLibraries::Resolve(
    const std::string& need, const ElfImage& needed_by, const std::vector<std::string>& rpath) {
  if (const auto loaded = by_name_.find(need); loaded != by_name_.end()) {
    return std::optional(copies_.at(loaded->second).path);
  }
  const std::optional<std::string> path = search_->Find(need, &needed_by, rpath);
  if (!path) {
    return Status(Code::kNotFound,
                  need + ", which " + needed_by.identity().path + " needs, cannot be found");
  }
  if (IsShared(*path)) {
    return search_->IsFoundByName(need, *path) ? std::optional<std::string>() : path;
  }
  Result<std::string> copy = MakePrivate(*path, rpath);
  if (!copy.ok()) {
    return copy.status();
  }
  return std::optional(*std::move(copy));
}

void PrivateLibraries::ShareLoadedCode() {
  // What is loaded is listed first: the callback runs under the dynamic linker's lock.
  std::vector<std::pair<std::string, uint64_t>> loaded;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t /*size*/, void* context) {
        static_cast<decltype(loaded)*>(context)->emplace_back(info->dlpi_name, info->dlpi_addr);
        return 0;
      },
      &loaded);
  for (const auto& [path, address] : loaded) {
    const auto known = by_copy_path_.find(path);
    if (known == by_copy_path_.end() || copies_.at(known->second).is_loaded) {
      continue;
    }
    Copy& copy = copies_.at(known->second);
    ShareUneditedPages(*copy.original, copy.edit, address);
    copy.is_loaded = true;
    copy.edit = {};
  }
}

}  // namespace torchdeploy
