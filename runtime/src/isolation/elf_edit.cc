#include "runtime/src/isolation/elf_edit.h"

#include <elf.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/src/isolation/elf_image.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

namespace {

constexpr std::string_view kLibc = "libc.so.6";
// An entry that the dynamic linker passes over: an unassigned tag of the OS range.
constexpr Elf64_Sxword kIgnoredTag = 0x6000000D;
// A tail that is never loaded (.symtab, .strtab) is worth dropping from this size on;
// shorter ones are kept for debuggers.
constexpr uint64_t kDroppedTailBytes = 16U << 20U;
constexpr uint64_t kPageBytes = 4096;

uint64_t AlignUp(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

template <typename T>
std::vector<std::byte> BytesOf(const T& value) {
  std::vector<std::byte> bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

class EditPlanner {
 public:
  EditPlanner(const ElfImage& original, const Renaming& renaming)
      : original_(original), renaming_(renaming) {}

  Result<ElfEdit> Plan() {
    PlaceSegment();
    if (Status status = EditNeeds(); !status.ok()) {
      return status;
    }
    EditNamesAndPaths();
    EditVersionNeeds();
    for (const uint64_t offset : original_.UniqueSymbolInfoOffsets()) {
      const auto info = static_cast<unsigned char>(original_.bytes()[offset]);
      edit_.patches.push_back({offset, BytesOf(static_cast<unsigned char>(
                                           ELF64_ST_INFO(STB_GLOBAL, ELF64_ST_TYPE(info))))});
    }
    EditSymbols();
    AddName(renaming_.seal);
    FinishHeaders();
    return std::move(edit_);
  }

 private:
  // Chooses file offset and address of the new segment, and leaves room for the table of
  // program headers, which grows by one, at its start.
  void PlaceSegment() {
    uint64_t loaded_end = 0;
    for (const Elf64_Phdr& segment : original_.program_headers()) {
      if (segment.p_type == PT_LOAD) {
        loaded_end = std::max(loaded_end, segment.p_offset + segment.p_filesz);
        address_ = std::max(address_, segment.p_vaddr + segment.p_memsz);
        alignment_ = std::max(alignment_, segment.p_align);
      }
    }
    const uint64_t size = original_.bytes().size();
    edit_.kept_bytes = size - loaded_end > kDroppedTailBytes ? loaded_end : size;
    edit_.appended_offset = AlignUp(edit_.kept_bytes, alignment_);
    address_ = AlignUp(address_, alignment_);
    edit_.appended.resize((original_.program_headers().size() + 1) * sizeof(Elf64_Phdr));
  }

  // Returns the name's offset from the dynamic string table, which may lie far before it:
  // the dynamic linker adds the two without a bound.
  uint64_t AddName(const std::string& name) {
    const uint64_t at = edit_.appended.size();
    const auto* data = reinterpret_cast<const std::byte*>(name.c_str());
    edit_.appended.insert(edit_.appended.end(), data, data + name.size() + 1);
    return address_ + at - original_.string_table();
  }

  void SetEntry(uint64_t offset, Elf64_Sxword tag, uint64_t value) {
    Elf64_Dyn entry{};
    entry.d_tag = tag;
    entry.d_un.d_val = value;
    edit_.patches.push_back({offset, BytesOf(entry)});
  }

  Status EditNeeds() {
    bool libc_is_replaced = renaming_.in_place_of_libc.empty();
    for (const ElfImage::DynamicEntry& d : original_.dynamic()) {
      if (d.entry.d_tag != DT_NEEDED) {
        continue;
      }
      const std::string name = original_.StringAt(d.entry.d_un.d_val);
      if (name == kLibc && !libc_is_replaced) {
        SetEntry(d.offset, DT_NEEDED, AddName(renaming_.in_place_of_libc));
        libc_is_replaced = true;
      } else if (const auto found = renaming_.needed.find(name); found != renaming_.needed.end()) {
        SetEntry(d.offset, DT_NEEDED, AddName(found->second));
      }
    }
    if (!libc_is_replaced) {
      if (Status status = AddNeed(renaming_.in_place_of_libc); !status.ok()) {
        return status;
      }
    }
    return renaming_.also_needed.empty() ? Status() : AddNeed(renaming_.also_needed);
  }

  Status AddNeed(const std::string& path) {
    // The last unused entry must stay, it ends the list.
    if (used_null_entries_ + 1 >= original_.null_entries().size()) {
      return {Code::kUnimplemented, original_.identity().path +
                                        " cannot be made private: it does not need libc and its "
                                        "dynamic section has no free entry"};
    }
    SetEntry(original_.null_entries()[used_null_entries_++], DT_NEEDED, AddName(path));
    return {};
  }

  void EditNamesAndPaths() {
    for (const ElfImage::DynamicEntry& d : original_.dynamic()) {
      if (d.entry.d_tag == DT_RPATH && !renaming_.rpath.empty()) {
        SetEntry(d.offset, DT_RPATH, AddName(renaming_.rpath));
      } else if (d.entry.d_tag == DT_SONAME || d.entry.d_tag == DT_RPATH ||
                 d.entry.d_tag == DT_RUNPATH) {
        SetEntry(d.offset, kIgnoredTag, 0);
      }
    }
  }

  // The dynamic linker looks the library of a version requirement up among the loaded ones
  // by the name under which it was needed.
  void EditVersionNeeds() {
    for (const ElfImage::VersionNeed& need : original_.VersionNeeds()) {
      const auto found = renaming_.needed.find(need.library);
      if (found != renaming_.needed.end()) {
        edit_.patches.push_back(
            {need.file_field_offset, BytesOf(static_cast<uint32_t>(AddName(found->second)))});
      }
    }
  }

  // Undefined symbols are in no hash table, so that a name is all there is to change.
  void EditSymbols() {
    for (const auto& [from, to] : renaming_.symbols) {
      for (const uint64_t offset : original_.UndefinedSymbolNameOffsets(from)) {
        edit_.patches.push_back({offset, BytesOf(static_cast<uint32_t>(AddName(to)))});
      }
    }
  }

  void FinishHeaders() {
    std::vector<Elf64_Phdr> segments = original_.program_headers();
    const uint64_t size = edit_.appended.size();
    const Elf64_Phdr added{.p_type = PT_LOAD,
                           .p_flags = PF_R,
                           .p_offset = edit_.appended_offset,
                           .p_vaddr = address_,
                           .p_paddr = address_,
                           .p_filesz = size,
                           .p_memsz = size,
                           .p_align = alignment_};
    // PT_LOAD entries must ascend by address.
    const auto last = std::find_if(segments.rbegin(), segments.rend(),
                                   [](const Elf64_Phdr& p) { return p.p_type == PT_LOAD; });
    segments.insert(last.base(), added);
    const uint64_t table_bytes = segments.size() * sizeof(Elf64_Phdr);
    for (Elf64_Phdr& segment : segments) {
      if (segment.p_type == PT_PHDR) {
        segment.p_offset = edit_.appended_offset;
        segment.p_vaddr = segment.p_paddr = address_;
        segment.p_filesz = segment.p_memsz = table_bytes;
      }
    }
    std::memcpy(edit_.appended.data(), segments.data(), table_bytes);
    Elf64_Ehdr header = original_.header();
    header.e_phoff = edit_.appended_offset;
    header.e_phnum = static_cast<Elf64_Half>(segments.size());
    if (edit_.kept_bytes < original_.bytes().size()) {
      header.e_shoff = 0;  // The section headers went with the tail.
      header.e_shnum = header.e_shstrndx = 0;
    }
    edit_.patches.push_back({0, BytesOf(header)});
  }

  const ElfImage& original_;
  const Renaming& renaming_;
  ElfEdit edit_;
  uint64_t address_ = 0;
  uint64_t alignment_ = kPageBytes;
  size_t used_null_entries_ = 0;
};

}  // namespace

Result<ElfEdit> PlanEdit(const ElfImage& original, const Renaming& renaming) {
  return EditPlanner(original, renaming).Plan();
}

}  // namespace torchdeploy
