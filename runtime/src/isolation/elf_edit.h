// How a shared library is turned into a private copy of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "runtime/src/isolation/elf_image.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

// What a private copy says instead of what its original says.
struct Renaming {
  // DT_NEEDED entry to the path of the file that is meant. Entries that are not here stay.
  std::map<std::string, std::string> needed;
  // Path that takes libc's place in the list of needed libraries, and is added if libc is
  // not in it; its own needs bring libc back. Empty: nothing is put there.
  std::string in_place_of_libc;
  // Path that is needed besides; empty: none.
  std::string also_needed;
  // What DT_RPATH, if there is one, says instead. It stays because shared libraries are found
  // through it that do not say themselves where what they need is (scipy's libgfortran).
  std::string rpath;
  // Symbols that other libraries define, to those that are meant instead.
  std::map<std::string, std::string> symbols;
  // Kept at the end of the file: says what the copy was made from.
  std::string seal;
};

// The bytes of a private copy, as differences from its original. All that the original has
// stays at its offset: one segment with new names and program headers is put behind it.
// That is why our own code edits these files and no general tool does: patchelf and LIEF
// move code, and pages of moved code could not be shared with the original.
struct ElfEdit {
  struct Patch {
    uint64_t offset;
    std::vector<std::byte> bytes;
  };
  std::vector<Patch> patches;    // Within the original's bytes.
  uint64_t kept_bytes = 0;       // How much of the original is copied.
  uint64_t appended_offset = 0;  // Where the new segment starts; >= kept_bytes.
  std::vector<std::byte> appended;

  // Size of the copy in bytes.
  [[nodiscard]] uint64_t size_bytes() const { return appended_offset + appended.size(); }
};

// Besides the renaming: DT_SONAME and DT_RUNPATH are dropped, since every need is a path then
// and nothing else shall find the copy by name; STB_GNU_UNIQUE symbols, which
// the process would bind once for all copies, become STB_GLOBAL.
//
// kUnimplemented when a need must be added and the dynamic section has no room.
Result<ElfEdit> PlanEdit(const ElfImage& original, const Renaming& renaming);

}  // namespace torchdeploy
