// Writes small archives for tests.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace torchdeploy::fakes {

enum class Compression { kNone, kDeflate };

// Writes a zip file at `path` with the records that torch.package writes, in the root folder
// `archive`, and `manifest` as its manifest record, if any. Aborts when that fails.
void WriteArchive(const std::string& path, std::optional<std::string_view> manifest);

// The records of such an archive, by full name.
std::map<std::string, std::string> RecordsOfArchive(std::optional<std::string_view> manifest);

// Writes a zip file that holds these records, by full name.
void WriteZip(const std::string& path, const std::map<std::string, std::string>& records,
              Compression compression = Compression::kNone);

// The records of a zip file that breaks no rule; aborts when it breaks one.
std::map<std::string, std::string> ReadZip(const std::string& bytes);

}  // namespace torchdeploy::fakes
