// An opened archive.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "torchdeploy/archive_format.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

class PackageState;  // Internal.

// Copyable; copies mean the same archive. Thread-safe. Every package has modules of its
// own: equally named modules of two packages do not meet. Nothing of the archive runs
// before a session or a call.
class Package {
 public:
  [[nodiscard]] const std::string& path() const;

  [[nodiscard]] ArchiveFormat format() const;

  // Nothing for an archive that was written by plain torch functions.
  [[nodiscard]] const std::optional<Manifest>& manifest() const;

  // The object pickled as (package, resource); an archive of TorchScript or AOTInductor has its
  // model as this default. Lazy: a missing pickle is the error of the first call, or of
  // LoadEverywhere().
  [[nodiscard]] ReplicatedObj LoadPickle(const std::string& package = "model",
                                         const std::string& resource = "model.pkl") const;

  // What a server calls: the manifest's entry, else the pickle ("model", "model.pkl"), else, of
  // TorchScript or AOTInductor, its model, called without gradients.
  [[nodiscard]] ReplicatedObj LoadEntry() const;

  // What the archive holds as (package, resource), as bytes or as UTF-8 text. kUnknown: there is
  // no such resource.
  [[nodiscard]] Result<std::string> LoadBinary(const std::string& package,
                                               const std::string& resource) const;
  [[nodiscard]] Result<std::string> LoadText(const std::string& package,
                                             const std::string& resource) const;

  // Of any interpreter, or of the one at `slot`; self() is the archive's torch.package importer,
  // or, of TorchScript and AOTInductor, of no use.
  [[nodiscard]] Result<InterpreterSession> AcquireSession(std::optional<size_t> slot = {}) const;

 private:
  friend class InterpreterManager;
  explicit Package(std::shared_ptr<PackageState> state);

  std::shared_ptr<PackageState> state_;
};

}  // namespace torchdeploy
