// How failures name an archive and what it holds.
#pragma once

#include <string>
#include <string_view>

#include "torchdeploy/status.h"

namespace torchdeploy {

// "The archive '<path>' <what>."
Status ArchiveFailure(Code code, const std::string& path, const std::string& what);

// `name` in quotes, as one line of at most 100 characters of ASCII.
std::string Quoted(std::string_view name);

}  // namespace torchdeploy
