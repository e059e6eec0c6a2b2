#include "runtime/src/isolation/elf_image.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>  // strnlen

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/src/isolation/file_identity.h"
#include "runtime/src/isolation/owned_fd.h"
#include "torchdeploy/status.h"

#include <sys/mman.h>

namespace torchdeploy {

namespace {

Status NotALibrary(const std::string& path, const std::string& why) {
  return {Code::kInvalidArgument,
          path + " is not a 64-bit little-endian ELF shared library: " + why};
}

}  // namespace

Result<ElfImage> ElfImage::Open(const std::string& path) {
  const OwnedFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) {
    return SystemError("open", path, errno);
  }
  Result<FileIdentity> identity = IdentifyOpenFile(fd.get(), path);
  if (!identity.ok()) {
    return identity.status();
  }
  ElfImage image;
  image.identity_ = *identity;
  image.size_ = identity->size_bytes;
  if (image.size_ < sizeof(Elf64_Ehdr)) {
    return NotALibrary(path, "it has " + std::to_string(image.size_) + " bytes");
  }
  const size_t size = image.size_;
  void* memory = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (memory == MAP_FAILED) {
    return SystemError("map", path, errno);
  }
  image.data_ = std::shared_ptr<const std::byte>(
      static_cast<const std::byte*>(memory),
      [size](const std::byte* data) { munmap(const_cast<std::byte*>(data), size); });
  if (Status status = image.ReadHeaders(); !status.ok()) {
    return status;
  }
  if (Status status = image.ReadDynamic(); !status.ok()) {
    return status;
  }
  return image;
}

template <typename T>
std::optional<T> ElfImage::Read(uint64_t offset) const {
  if (offset > size_ || size_ - offset < sizeof(T)) {
    return std::nullopt;
  }
  T value;
  std::memcpy(&value, data_.get() + offset, sizeof value);
  return value;
}

Status ElfImage::ReadHeaders() {
  header_ = Read<Elf64_Ehdr>(0).value_or(Elf64_Ehdr{});
  if (std::memcmp(header_.e_ident, ELFMAG, SELFMAG) != 0) {
    return NotALibrary(identity_.path, "no ELF magic");
  }
  if (header_.e_ident[EI_CLASS] != ELFCLASS64 || header_.e_ident[EI_DATA] != ELFDATA2LSB ||
      header_.e_type != ET_DYN || header_.e_phentsize != sizeof(Elf64_Phdr)) {
    return NotALibrary(identity_.path, "wrong class, byte order or type");
  }
  for (uint64_t i = 0; i < header_.e_phnum; ++i) {
    const auto segment = Read<Elf64_Phdr>(header_.e_phoff + i * sizeof(Elf64_Phdr));
    if (!segment || segment->p_offset > size_ || segment->p_filesz > size_ - segment->p_offset) {
      return NotALibrary(identity_.path, "cut short");
    }
    segments_.push_back(*segment);
  }
  return {};
}

Status ElfImage::ReadDynamic() {
  const auto found = std::find_if(segments_.begin(), segments_.end(),
                                  [](const Elf64_Phdr& p) { return p.p_type == PT_DYNAMIC; });
  if (found == segments_.end()) {
    return NotALibrary(identity_.path, "no dynamic section");
  }
  for (uint64_t at = 0; at + sizeof(Elf64_Dyn) <= found->p_filesz; at += sizeof(Elf64_Dyn)) {
    const uint64_t offset = found->p_offset + at;
    const Elf64_Dyn entry = Read<Elf64_Dyn>(offset).value_or(Elf64_Dyn{});
    if (entry.d_tag == DT_NULL) {
      null_entries_.push_back(offset);
    } else if (null_entries_.empty()) {
      dynamic_.push_back({entry, offset});
    } else {
      break;  // Not padding: leave it alone.
    }
  }
  const auto strings = DynamicValue(DT_STRTAB);
  const auto symbols = DynamicValue(DT_SYMTAB);
  if (null_entries_.empty() || !strings || !symbols) {
    return NotALibrary(identity_.path, "its dynamic section is not complete");
  }
  string_table_ = *strings;
  symbol_table_ = *symbols;
  return {};
}

std::optional<uint64_t> ElfImage::DynamicValue(Elf64_Sxword tag) const {
  const auto found = std::find_if(dynamic_.begin(), dynamic_.end(),
                                  [tag](const DynamicEntry& d) { return d.entry.d_tag == tag; });
  if (found == dynamic_.end()) {
    return std::nullopt;
  }
  return found->entry.d_un.d_val;
}

std::optional<uint64_t> ElfImage::FileOffset(uint64_t address) const {
  for (const Elf64_Phdr& segment : segments_) {
    if (segment.p_type == PT_LOAD && address >= segment.p_vaddr &&
        address - segment.p_vaddr < segment.p_filesz) {
      return segment.p_offset + (address - segment.p_vaddr);
    }
  }
  return std::nullopt;
}

std::string ElfImage::StringAt(uint64_t offset) const {
  // By address, as the dynamic linker does it: a copy's names lie in another segment.
  const auto at = FileOffset(string_table_ + offset);
  if (!at || *at >= size_) {
    return "";
  }
  const char* start = reinterpret_cast<const char*>(data_.get()) + *at;
  return {start, strnlen(start, size_ - *at)};
}

std::vector<std::string> ElfImage::Strings(Elf64_Sxword tag) const {
  std::vector<std::string> strings;
  for (const DynamicEntry& d : dynamic_) {
    if (d.entry.d_tag == tag) {
      strings.push_back(StringAt(d.entry.d_un.d_val));
    }
  }
  return strings;
}

std::string ElfImage::FirstString(Elf64_Sxword tag) const {
  const auto offset = DynamicValue(tag);
  return offset ? StringAt(*offset) : "";
}

std::string ElfImage::soname() const {
  return FirstString(DT_SONAME);
}

std::vector<ElfImage::VersionNeed> ElfImage::VersionNeeds() const {
  std::vector<VersionNeed> needs;
  const auto address = DynamicValue(DT_VERNEED);
  auto at = address ? FileOffset(*address) : std::nullopt;
  const uint64_t most = size_ / sizeof(Elf64_Verneed);
  uint64_t left = std::min(most, DynamicValue(DT_VERNEEDNUM).value_or(0));
  for (; at && left > 0; --left) {
    const auto need = Read<Elf64_Verneed>(*at);
    if (!need) {
      break;
    }
    needs.push_back({StringAt(need->vn_file), *at + offsetof(Elf64_Verneed, vn_file)});
    if (need->vn_next == 0) {
      break;
    }
    *at += need->vn_next;
  }
  return needs;
}

uint64_t ElfImage::GnuHashSymbolCount(uint64_t table) const {
  struct Header {
    uint32_t bucket_count, first_symbol, bloom_size, bloom_shift;
  };
  const auto header = Read<Header>(table);
  if (!header) {
    return 0;
  }
  const uint64_t buckets = table + sizeof(Header) + uint64_t{header->bloom_size} * 8;
  if (buckets + uint64_t{header->bucket_count} * 4 > size_) {
    return 0;  // Cut short or made up.
  }
  uint32_t last = 0;
  for (uint64_t i = 0; i < header->bucket_count; ++i) {
    last = std::max(last, Read<uint32_t>(buckets + i * 4).value_or(0));
  }
  if (last < header->first_symbol) {
    return header->first_symbol;
  }
  // The chain of the last bucket ends with the last symbol; a set low bit marks the end.
  const uint64_t chains = buckets + uint64_t{header->bucket_count} * 4;
  uint64_t index = last;
  while (true) {
    const auto hash = Read<uint32_t>(chains + (index - header->first_symbol) * 4);
    ++index;
    if (!hash || (*hash & 1U) != 0) {
      return index;
    }
  }
}

uint64_t ElfImage::SymbolCount() const {
  if (const auto gnu = DynamicValue(DT_GNU_HASH)) {
    const auto table = FileOffset(*gnu);
    return table ? GnuHashSymbolCount(*table) : 0;
  }
  if (const auto sysv = DynamicValue(DT_HASH)) {
    const auto table = FileOffset(*sysv);
    return table ? Read<uint32_t>(*table + 4).value_or(0) : 0;
  }
  return 0;
}

std::vector<std::pair<uint64_t, Elf64_Sym>> ElfImage::Symbols() const {
  std::vector<std::pair<uint64_t, Elf64_Sym>> symbols;
  const auto table = FileOffset(symbol_table_);
  if (!table) {
    return symbols;
  }
  const uint64_t count = SymbolCount();
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t at = *table + i * sizeof(Elf64_Sym);
    const auto symbol = Read<Elf64_Sym>(at);
    if (!symbol) {
      break;
    }
    symbols.emplace_back(at, *symbol);
  }
  return symbols;
}

std::vector<uint64_t> ElfImage::UniqueSymbolInfoOffsets() const {
  std::vector<uint64_t> offsets;
  for (const auto& [at, symbol] : Symbols()) {
    if (ELF64_ST_BIND(symbol.st_info) == STB_GNU_UNIQUE) {
      offsets.push_back(at + offsetof(Elf64_Sym, st_info));
    }
  }
  return offsets;
}

std::vector<uint64_t> ElfImage::UndefinedSymbolNameOffsets(const std::string& name) const {
  std::vector<uint64_t> offsets;
  for (const auto& [at, symbol] : Symbols()) {
    if (symbol.st_shndx == SHN_UNDEF && StringAt(symbol.st_name) == name) {
      offsets.push_back(at + offsetof(Elf64_Sym, st_name));
    }
  }
  return offsets;
}

}  // namespace torchdeploy
