#include "runtime/src/isolation/library_search.h"

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <ios>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/src/isolation/elf_image.h"

namespace torchdeploy {

namespace {

void ReplaceAll(std::string& text, std::string_view token, const std::string& replacement) {
  for (size_t at = text.find(token); at != std::string::npos;
       at = text.find(token, at + replacement.size())) {
    text.replace(at, token.size(), replacement);
  }
}

std::vector<std::string> SplitFolders(const std::string& text, const std::string& origin) {
  std::vector<std::string> folders;
  std::istringstream stream(text);
  for (std::string folder; std::getline(stream, folder, ':');) {
    ReplaceAll(folder, "${ORIGIN}", origin);
    ReplaceAll(folder, "$ORIGIN", origin);
    if (!folder.empty()) {
      folders.push_back(std::move(folder));
    }
  }
  return folders;
}

std::string FolderOf(const ElfImage& library) {
  return std::filesystem::path(library.identity().path).parent_path().string();
}

// Source: glibc's dl-cache.h, "glibc-ld.so.cache1.1": a header of 48 bytes, then entries of
// 24 bytes; key and value are offsets of strings from the start of the file.
std::map<std::string, std::string> ReadSystemCache(const std::string& path) {
  constexpr std::string_view kMagic = "glibc-ld.so.cache1.1";
  constexpr size_t kHeaderBytes = 48;
  struct Entry {
    int32_t flags;
    uint32_t key, value, os_version;
    uint64_t hardware;
  };
#if defined(__aarch64__)
  constexpr int32_t kOurFlags = 0x0a03;
#else
  constexpr int32_t kOurFlags = 0x0303;  // libc6, x86-64
#endif
  std::ifstream file(path, std::ios::binary);
  const std::string data((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::map<std::string, std::string> names;
  if (data.size() < kHeaderBytes || !data.starts_with(kMagic)) {
    return names;
  }
  uint32_t count = 0;
  std::memcpy(&count, data.data() + kMagic.size(), sizeof count);
  for (size_t i = 0; i < count && kHeaderBytes + (i + 1) * sizeof(Entry) <= data.size(); ++i) {
    Entry entry{};
    std::memcpy(&entry, data.data() + kHeaderBytes + i * sizeof entry, sizeof entry);
    if (entry.flags == kOurFlags && entry.key < data.size() && entry.value < data.size()) {
      names.emplace(data.c_str() + entry.key, data.c_str() + entry.value);
    }
  }
  return names;
}

std::optional<std::string> FindIn(const std::vector<std::string>& folders,
                                  const std::string& name) {
  for (const std::string& folder : folders) {
    std::string path = folder;
    path.append("/").append(name);
    if (access(path.c_str(), R_OK) == 0) {
      return path;
    }
  }
  return std::nullopt;
}

}  // namespace

LibrarySearch::LibrarySearch(std::vector<std::string> extra_folders)
    : extra_folders_(std::move(extra_folders)), system_cache_(ReadSystemCache("/etc/ld.so.cache")) {
  // Read once, before interpreters start: nobody writes to it then.
  if (const char* folders = getenv("LD_LIBRARY_PATH")) {  // NOLINT(concurrency-mt-unsafe)
    environment_folders_ = SplitFolders(folders, ".");
  }
}

bool LibrarySearch::IsFoundByName(const std::string& name, const std::string& path) const {
  const auto cached = system_cache_.find(name);
  return cached != system_cache_.end() && cached->second == path;
}

std::vector<std::string> LibrarySearch::RpathFolders(const ElfImage& library) {
  if (!library.run_path().empty()) {
    return {};
  }
  return SplitFolders(library.r_path(), FolderOf(library));
}

std::optional<std::string> LibrarySearch::Find(
    const std::string& name, const ElfImage* needed_by,
    const std::vector<std::string>& inherited_rpath) const {
  if (name.find('/') != std::string::npos) {
    return access(name.c_str(), R_OK) == 0 ? std::optional(name) : std::nullopt;
  }
  std::vector<std::string> folders;
  if (needed_by != nullptr && needed_by->run_path().empty()) {
    folders = RpathFolders(*needed_by);
    folders.insert(folders.end(), inherited_rpath.begin(), inherited_rpath.end());
  }
  folders.insert(folders.end(), environment_folders_.begin(), environment_folders_.end());
  if (needed_by != nullptr) {
    const auto own = SplitFolders(needed_by->run_path(), FolderOf(*needed_by));
    folders.insert(folders.end(), own.begin(), own.end());
  }
  if (auto path = FindIn(folders, name)) {
    return path;
  }
  if (const auto cached = system_cache_.find(name); cached != system_cache_.end()) {
    return cached->second;
  }
  auto path = FindIn({"/lib64", "/usr/lib64", "/lib", "/usr/lib"}, name);
  return path ? path : FindIn(extra_folders_, name);
}

}  // namespace torchdeploy
