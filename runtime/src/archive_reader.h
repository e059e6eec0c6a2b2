// What the host reads of a torch.package archive, and checks before an engine does.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "runtime/src/archive_file.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

struct CheckedArchive {
  // Every record is stored as it is, and every storage at a multiple of 64 bytes: the file
  // that was given, or a copy in memory of one where that is not so.
  std::shared_ptr<ArchiveFile> file;
  // The manifest record, if there is one.
  std::optional<std::string> manifest;
};

// Reads all but the weights, whose checksums are not looked at, unless they are compressed.
//
// kDataLoss: not a zip file that torch.package wrote, cut short, or damaged. kInvalidArgument:
// a record lies outside the archive's folder, or a manifest has over 16 MiB.
// kResourceExhausted: more records than ReadZipDirectory() takes, or no memory for the copy.
//
// Source: docs/manifest.md; torch/package/package_exporter.py for the other records.
Result<CheckedArchive> CheckArchive(std::shared_ptr<ArchiveFile> file);

}  // namespace torchdeploy
