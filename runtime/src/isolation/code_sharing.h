// Lets all private copies of a library use the same memory for what they have in common.
#pragma once

#include <cstdint>

#include "runtime/src/isolation/elf_edit.h"
#include "runtime/src/isolation/elf_image.h"

namespace torchdeploy {

// Maps the read-only pages of a loaded copy again from the original, where the edit left them
// as they were: code and constants are then the same page-cache pages in all copies.
// `load_address` is what dl_iterate_phdr() says of the copy. Best effort: pages that cannot be
// mapped stay as they are, which costs memory and nothing else.
void ShareUneditedPages(const ElfImage& original, const ElfEdit& edit, uint64_t load_address);

}  // namespace torchdeploy
