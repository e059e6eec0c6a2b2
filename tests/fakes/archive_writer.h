// Writes small archives for tests.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace torchdeploy::fakes {

// Writes a zip file at `path` with the records that torch.package writes, in the root folder
// `archive`, and `manifest` as its manifest record, if any. Aborts when that fails.
void WriteArchive(const std::string& path, std::optional<std::string_view> manifest);

// Writes a zip file that holds these records, by full name.
void WriteZip(const std::string& path, const std::map<std::string, std::string>& records);

}  // namespace torchdeploy::fakes
