// The handle of a pool of interpreters.
#include "torchdeploy/interpreter_manager.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runtime/src/archive_file.h"
#include "runtime/src/archive_reader.h"
#include "runtime/src/engine_pools.h"
#include "runtime/src/manifest_parser.h"
#include "runtime/src/package_state.h"
#include "runtime/src/pool.h"
#include "runtime/src/session_state.h"
#include "torchdeploy/archive_format.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/interpreter_usage.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/options.h"
#include "torchdeploy/package.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"

namespace torchdeploy {

namespace {

Status Ask(const Options::CheckArchive& check, ArchiveFile& file) {
  if (!check) {
    return {};
  }
  // Its mapping keeps the bytes as they are.
  const Result<Tensor> bytes = file.Map();
  if (!bytes.ok()) {
    return bytes.status();
  }
  return check(file.path(), {static_cast<const std::byte*>(bytes->data()), bytes->size_bytes()});
}

}  // namespace

// By value, as a designated initialiser reads well at the call.
Result<std::unique_ptr<InterpreterManager>> InterpreterManager::Create(
    Options options) {  // NOLINT(performance-unnecessary-value-param)
  Result<std::unique_ptr<EnginePools>> pools = EnginePools::Create(options);
  if (!pools.ok()) {
    return pools.status();
  }
  return std::unique_ptr<InterpreterManager>(
      new InterpreterManager(*std::move(pools), options.check_archive));
}

InterpreterManager::InterpreterManager(std::unique_ptr<EnginePools> pools,
                                       Options::CheckArchive check_archive)
    : pools_(std::move(pools)), check_archive_(std::move(check_archive)) {}

InterpreterManager::~InterpreterManager() {
  pools_->Retire();
}

size_t InterpreterManager::size() const {
  return pools_->size();
}

Result<Package> InterpreterManager::LoadPackage(const std::string& path) const {
  return Load(ArchiveFile::Open(path));
}

Result<Package> InterpreterManager::LoadPackage(std::span<const std::byte> archive,
                                                const std::string& name) const {
  return Load(ArchiveFile::Copy(archive, name));
}

Result<Package> InterpreterManager::Load(Result<std::shared_ptr<ArchiveFile>> file) const {
  if (!file.ok()) {
    return file.status();
  }
  if (Status status = Ask(check_archive_, **file); !status.ok()) {
    return status;
  }
  Result<CheckedArchive> archive = CheckArchive(*std::move(file));
  if (!archive.ok()) {
    return archive.status();
  }
  std::optional<Manifest> manifest;
  if (const std::optional<std::string>& json = archive->manifest; json.has_value()) {
    Result<Manifest> parsed = ParseManifest(*json);
    if (!parsed.ok()) {
      return Status(parsed.status().code(), "The manifest of '" + archive->file->path() +
                                                "' is not valid: " + parsed.status().message());
    }
    manifest = *std::move(parsed);
  }
  Result<std::shared_ptr<Pool>> pool = pools_->For(archive->format);
  if (!pool.ok()) {
    return pool.status();
  }
  return Package(std::make_shared<PackageState>(*std::move(pool), archive->format,
                                                std::move(archive->file), std::move(manifest)));
}

Result<InterpreterSession> InterpreterManager::AcquireSession(std::optional<size_t> slot) const {
  const Result<std::shared_ptr<Pool>> pool = pools_->For(ArchiveFormat::kTorchPackage);
  if (!pool.ok()) {
    return pool.status();
  }
  Result<std::shared_ptr<SessionState>> session = SessionState::Begin(*pool, slot);
  if (!session.ok()) {
    return session.status();
  }
  return InterpreterSession(*std::move(session));
}

Status InterpreterManager::RegisterModuleSource(const std::string& name,
                                                const std::string& source) const {
  const Result<std::shared_ptr<Pool>> pool = pools_->For(ArchiveFormat::kTorchPackage);
  return pool.ok() ? (*pool)->RegisterModule(name, source) : pool.status();
}

Status InterpreterManager::Resize(size_t interpreters) const {
  return pools_->Resize(interpreters);
}

Status InterpreterManager::LimitInterpreters(size_t interpreters) const {
  if (interpreters == 0) {
    return {Code::kInvalidArgument, "The limit is 0 interpreters; expected at least 1."};
  }
  pools_->Limit(interpreters);
  return {};
}

size_t InterpreterManager::interpreters_replaced() const {
  return pools_->replaced();
}

std::vector<InterpreterUsage> InterpreterManager::Usage() const {
  return pools_->Usage();
}

void InterpreterManager::Close() {
  pools_->Close();
}

}  // namespace torchdeploy
