// What the host reads of a torch.package archive.
#pragma once

#include <optional>
#include <string>

#include "runtime/src/archive_file.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

// The text of the archive's manifest record; nothing when it has none. The archive must be
// a zip file that torch.package wrote.
//
// kInvalidArgument: a manifest over 16 MiB. kDataLoss: not such an archive, cut short, or
// damaged. Fails as ArchiveFile::Map() does.
//
// Source: docs/manifest.md; torch/package/package_exporter.py for the other records.
Result<std::optional<std::string>> ReadManifestRecord(ArchiveFile& file);

}  // namespace torchdeploy
