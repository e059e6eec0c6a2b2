// What the host reads of an archive, and checks before an engine does.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "runtime/src/archive_file.h"
#include "torchdeploy/archive_format.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

struct CheckedArchive {
  ArchiveFormat format;
  // The file that was given. Of torch.package every record is stored as it is, and every storage
  // at a multiple of 64 bytes: where that is not so, it is a copy in memory.
  std::shared_ptr<ArchiveFile> file;
  // The manifest record, if there is one.
  std::optional<std::string> manifest;
};

// Reads all but the weights, whose checksums are not looked at, unless they are compressed.
//
// kDataLoss: not a zip file of an ArchiveFormat, cut short, or damaged. kInvalidArgument:
// a record lies outside the archive's folder, or a manifest has over 16 MiB.
// kResourceExhausted: more records than ReadZipDirectory() takes, or no memory for the copy.
//
// Source: docs/manifest.md; torch/package/package_exporter.py for the other records, and
// torch/csrc/jit/serialization/export_module.cpp for those of TorchScript.
Result<CheckedArchive> CheckArchive(std::shared_ptr<ArchiveFile> file);

}  // namespace torchdeploy
