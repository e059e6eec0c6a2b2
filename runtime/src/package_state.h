// An archive as its handles share it.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "runtime/src/archive_file.h"
#include "runtime/src/engine_object.h"
#include "runtime/src/objects_by_slot.h"
#include "runtime/src/pool.h"
#include "torchdeploy/archive_format.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

// Thread-safe by slots: what belongs to one is touched only by the thread that holds it.
class PackageState {
 public:
  // `archive` is of that format, and `pool` runs it.
  PackageState(std::shared_ptr<Pool> pool, ArchiveFormat format,
               std::shared_ptr<ArchiveFile> archive, std::optional<Manifest> manifest);
  PackageState(const PackageState&) = delete;
  PackageState& operator=(const PackageState&) = delete;

  [[nodiscard]] const std::shared_ptr<Pool>& pool() const { return pool_; }
  [[nodiscard]] ArchiveFormat format() const { return format_; }
  [[nodiscard]] ArchiveFile& archive() const { return *archive_; }
  [[nodiscard]] const std::optional<Manifest>& manifest() const { return manifest_; }

  // The archive's importer, made at the first use in the slot; after a failure the next use
  // tries again. REQUIRES: this thread holds `slot`.
  Result<std::shared_ptr<const EngineObject>> ImporterIn(size_t slot);

 private:
  const std::shared_ptr<Pool> pool_;
  const ArchiveFormat format_;
  const std::shared_ptr<ArchiveFile> archive_;
  const std::optional<Manifest> manifest_;
  ObjectsBySlot importers_;
};

}  // namespace torchdeploy
