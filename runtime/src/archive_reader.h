// What the host reads of a torch.package archive.
#pragma once

#include <optional>
#include <string>

#include "torchdeploy/status.h"

namespace torchdeploy {

// The text of the archive's manifest record; nothing when it has none. The archive must be
// a zip file that torch.package wrote.
//
// kNotFound: no such file. kInvalidArgument: a folder, or a manifest over 16 MiB.
// kPermissionDenied: cannot be read. kDataLoss: not such an archive, cut short, or damaged.
//
// Source: docs/manifest.md; torch/package/package_exporter.py for the other records.
Result<std::optional<std::string>> ReadManifestRecord(const std::string& path);

}  // namespace torchdeploy
