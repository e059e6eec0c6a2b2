#include "runtime/src/isolation/code_sharing.h"

#include <elf.h>
#include <fcntl.h>

#include <algorithm>
#include <cstdint>
#include <set>

#include "runtime/src/isolation/elf_edit.h"
#include "runtime/src/isolation/elf_image.h"
#include "runtime/src/isolation/file_identity.h"
#include "runtime/src/isolation/owned_fd.h"

#include <sys/mman.h>
#include <sys/types.h>

namespace torchdeploy {

namespace {

constexpr uint64_t kPageBytes = 4096;
// Each run costs the process one mapping, of which it may have 65,530 by default.
constexpr uint64_t kShortestRunPages = 16;

std::set<uint64_t> EditedPages(const ElfEdit& edit) {
  std::set<uint64_t> pages;
  for (const ElfEdit::Patch& patch : edit.patches) {
    const uint64_t last = (patch.offset + patch.bytes.size() - 1) / kPageBytes;
    for (uint64_t page = patch.offset / kPageBytes; page <= last; ++page) {
      pages.insert(page);
    }
  }
  return pages;
}

bool HasTextRelocations(const ElfImage& image) {
  return image.DynamicValue(DT_TEXTREL).has_value() ||
         (image.DynamicValue(DT_FLAGS).value_or(0) & DF_TEXTREL) != 0;
}

int ProtectionOf(const Elf64_Phdr& segment) {
  constexpr int kReadAndExecute = PROT_READ | PROT_EXEC;
  return (segment.p_flags & PF_X) != 0 ? kReadAndExecute : PROT_READ;
}

// Whether the pages, counted in the file, could be mapped from it.
bool MapRun(const Elf64_Phdr& segment, uint64_t first_page, uint64_t end_page, int fd,
            uint64_t load_address) {
  const uint64_t offset = first_page * kPageBytes;
  const uint64_t address = load_address + segment.p_vaddr + (offset - segment.p_offset);
  void* wanted = reinterpret_cast<void*>(address);  // NOLINT(performance-no-int-to-ptr)
  return mmap(wanted, (end_page - first_page) * kPageBytes, ProtectionOf(segment),
              MAP_PRIVATE | MAP_FIXED, fd, static_cast<off_t>(offset)) != MAP_FAILED;
}

void ShareSegment(const Elf64_Phdr& segment, const std::set<uint64_t>& edited, int fd,
                  uint64_t load_address) {
  uint64_t page = (segment.p_offset + kPageBytes - 1) / kPageBytes;
  const uint64_t end = (segment.p_offset + segment.p_filesz) / kPageBytes;
  while (page < end) {
    const auto next = edited.lower_bound(page);
    const uint64_t run_end = next == edited.end() ? end : std::min(*next, end);
    if (run_end - page >= kShortestRunPages && !MapRun(segment, page, run_end, fd, load_address)) {
      return;  // Out of mappings: the rest stays as it is.
    }
    page = run_end + 1;
  }
}

}  // namespace

void ShareUneditedPages(const ElfImage& original, const ElfEdit& edit, uint64_t load_address) {
  const OwnedFd fd(open(original.identity().path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok() || HasTextRelocations(original)) {
    return;
  }
  const auto identity = IdentifyOpenFile(fd.get(), original.identity().path);
  if (!identity.ok() || *identity != original.identity()) {
    return;  // Replaced since the copy was made.
  }
  const std::set<uint64_t> edited = EditedPages(edit);
  for (const Elf64_Phdr& segment : original.program_headers()) {
    if (segment.p_type == PT_LOAD && (segment.p_flags & PF_W) == 0) {
      ShareSegment(segment, edited, fd.get(), load_address);
    }
  }
}

}  // namespace torchdeploy
