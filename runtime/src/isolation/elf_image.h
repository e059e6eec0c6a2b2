// Reads what the dynamic linker reads of a shared library.
#pragma once

#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/src/isolation/file_identity.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

// A 64-bit little-endian ELF shared library, mapped for reading. Every access is checked
// against the file's size, so a hostile or torn file gives an error and no fault.
// Immutable; thread-safe.
class ElfImage {
 public:
  // A dynamic entry with the file offset at which it stands.
  struct DynamicEntry {
    Elf64_Dyn entry;
    uint64_t offset;
  };
  // A version requirement (.gnu.version_r): the file offset of its vn_file field.
  struct VersionNeed {
    std::string library;
    uint64_t file_field_offset;
  };

  // kNotFound, kPermissionDenied; kInvalidArgument when it is not such a library.
  static Result<ElfImage> Open(const std::string& path);

  [[nodiscard]] const FileIdentity& identity() const { return identity_; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_.get(), size_}; }
  [[nodiscard]] const Elf64_Ehdr& header() const { return header_; }
  [[nodiscard]] const std::vector<Elf64_Phdr>& program_headers() const { return segments_; }
  // Up to the first DT_NULL.
  [[nodiscard]] const std::vector<DynamicEntry>& dynamic() const { return dynamic_; }
  // File offsets of the unused entries behind it, at least the terminating one.
  [[nodiscard]] const std::vector<uint64_t>& null_entries() const { return null_entries_; }

  [[nodiscard]] std::vector<std::string> needed() const { return Strings(DT_NEEDED); }
  [[nodiscard]] std::string soname() const;
  // DT_RUNPATH if there is one, else DT_RPATH; not split, $ORIGIN not expanded.
  [[nodiscard]] std::string run_path() const { return FirstString(DT_RUNPATH); }
  [[nodiscard]] std::string r_path() const { return FirstString(DT_RPATH); }

  [[nodiscard]] std::optional<uint64_t> DynamicValue(Elf64_Sxword tag) const;
  // Address of the dynamic string table (DT_STRTAB).
  [[nodiscard]] uint64_t string_table() const { return string_table_; }
  [[nodiscard]] std::vector<VersionNeed> VersionNeeds() const;
  // File offsets of the st_info byte of every STB_GNU_UNIQUE symbol.
  [[nodiscard]] std::vector<uint64_t> UniqueSymbolInfoOffsets() const;
  // File offsets of the st_name field of every symbol of that name that another library defines.
  [[nodiscard]] std::vector<uint64_t> UndefinedSymbolNameOffsets(const std::string& name) const;

  // The string at `offset` of the dynamic string table; "" when out of bounds.
  [[nodiscard]] std::string StringAt(uint64_t offset) const;
  // Where the loaded address lies in the file; nothing when no segment holds it.
  [[nodiscard]] std::optional<uint64_t> FileOffset(uint64_t address) const;

 private:
  ElfImage() = default;

  template <typename T>
  [[nodiscard]] std::optional<T> Read(uint64_t offset) const;
  Status ReadHeaders();
  Status ReadDynamic();
  [[nodiscard]] uint64_t SymbolCount() const;
  // With their file offsets.
  [[nodiscard]] std::vector<std::pair<uint64_t, Elf64_Sym>> Symbols() const;
  [[nodiscard]] uint64_t GnuHashSymbolCount(uint64_t table) const;
  [[nodiscard]] std::vector<std::string> Strings(Elf64_Sxword tag) const;
  [[nodiscard]] std::string FirstString(Elf64_Sxword tag) const;

  FileIdentity identity_;
  std::shared_ptr<const std::byte> data_;
  size_t size_ = 0;
  Elf64_Ehdr header_{};
  std::vector<Elf64_Phdr> segments_;
  std::vector<DynamicEntry> dynamic_;
  std::vector<uint64_t> null_entries_;
  uint64_t string_table_ = 0;
  uint64_t symbol_table_ = 0;
};

}  // namespace torchdeploy
