// A pool of interpreters in this process.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/interpreter_usage.h"
#include "torchdeploy/options.h"
#include "torchdeploy/package.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

class ArchiveFile;  // Internal.
class EnginePools;  // Internal.

// Thread-safe. Interpreters cannot be unloaded: when a manager is destroyed they go to a
// process-wide stock, from which the next manager with the same Python takes them.
//
//   auto manager = InterpreterManager::Create({.interpreters = 4});
//   auto package = (*manager)->LoadPackage("model.pt");
//   Result<Value> y = package->LoadPickle().Call({x});
class InterpreterManager {
 public:
  // Starts the interpreters side by side; takes 2 to 4 s for two (figures in
  // docs/isolation.md). All or none: a failure leaves no half-made pool.
  //
  // kNotFound: no such Python, no libpython, no torch, no torchdeploy_pkg there.
  // kFailedPrecondition: libpython is not shared, torch is not 2.13, engine too old.
  // kPermissionDenied / kResourceExhausted: the cache folder cannot be written.
  // kInvalidArgument: an option is out of range.
  static Result<std::unique_ptr<InterpreterManager>> Create(Options options = {});

  InterpreterManager(const InterpreterManager&) = delete;
  InterpreterManager& operator=(const InterpreterManager&) = delete;
  // Close(), then gives the interpreters back. REQUIRES: no session of this manager lives.
  ~InterpreterManager();

  // Number of interpreters now: Python's for archives of torch.package, and as many that run
  // archives without Python, once one was loaded. Sessions of no archive are Python's.
  [[nodiscard]] size_t size() const;

  // Reads and checks all of the archive, of any ArchiveFormat, but its weights. kNotFound: no such
  // file. kDataLoss: no such archive, cut short, or damaged. kInvalidArgument: the manifest is not
  // valid, or a record lies outside the archive's folder. kResourceExhausted: it has too many
  // records, or takes more memory than there is (docs/weights.md says which take any).
  // Otherwise as Options::check_archive says.
  [[nodiscard]] Result<Package> LoadPackage(const std::string& path) const;

  // An archive in memory, which is copied once for all interpreters. `name` is its
  // Package::path(), and what messages call it.
  [[nodiscard]] Result<Package> LoadPackage(std::span<const std::byte> archive,
                                            const std::string& name) const;

  // Reserves a free interpreter (or the one at `slot`) for this thread. Waits in order of
  // arrival. kFailedPrecondition when the wait could not end; kInvalidArgument for a slot
  // that is not there.
  [[nodiscard]] Result<InterpreterSession> AcquireSession(std::optional<size_t> slot = {}) const;

  // Makes `import name` run `source` in every interpreter, in those that are added later, too,
  // where no module of that name was imported before; waits until each is free. `name` may be
  // dotted. kUnknown with type "SyntaxError" when it does not compile.
  Status RegisterModuleSource(const std::string& name, const std::string& source) const;

  // Adds interpreters, or takes the last ones away once those who hold or wait for them have had
  // them; no call is lost. kInvalidArgument: not 1 to 1024. kFailedPrecondition: taking away, by
  // a thread that holds a session of this manager. Adding fails as Create() does, and then
  // changes nothing.
  Status Resize(size_t interpreters) const;

  // Calls, and sessions of any interpreter, use the first `interpreters` only; the others are
  // for AcquireSession(slot). For debugging. kInvalidArgument: 0.
  Status LimitInterpreters(size_t interpreters) const;

  // How many interpreters hung in a call that was ended early, and were replaced; see
  // CallOptions.
  [[nodiscard]] size_t interpreters_replaced() const;

  // Of each interpreter, now: of Python's, or, where there are none, of those without. Never waits
  // for one.
  [[nodiscard]] std::vector<InterpreterUsage> Usage() const;

  // Refuses new calls with kUnavailable and waits until every accepted one has finished.
  // REQUIRES: not in a callback, and this thread holds no session of this manager.
  void Close();

 private:
  InterpreterManager(std::unique_ptr<EnginePools> pools, Options::CheckArchive check_archive);

  [[nodiscard]] Result<Package> Load(Result<std::shared_ptr<ArchiveFile>> file) const;

  std::unique_ptr<EnginePools> pools_;
  Options::CheckArchive check_archive_;
};

}  // namespace torchdeploy
