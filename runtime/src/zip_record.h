// The bytes of a record, inflated and checked.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "runtime/src/zip_directory.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

using ByteSink = std::function<Status(std::span<const std::byte>)>;

// Gives `sink` the record's bytes piece by piece, never more than record.size_bytes; ends with
// the first failure of `sink`. Needs little memory of its own. `path` is the archive's.
//
// kDataLoss: they are not as many as the record says, or their checksum is another.
Status ReadZipRecord(const ZipRecord& record, const std::string& path, const ByteSink& sink);

}  // namespace torchdeploy
