// Which models are served: at the start, by request, and as the repository changes.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/file_stamp.h"
#include "server/health.h"
#include "server/model_loader.h"
#include "server/model_registry.h"
#include "server/model_repository.h"
#include "server/request_queue.h"
#include "server/served_models.h"
#include "server/timer.h"
#include "server/worker.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

enum class ControlMode {
  kNone,      // All models, from the start to the end.
  kExplicit,  // Those that are asked for.
  kPoll,      // All models, as they come, change and go.
};

struct ControlOptions {
  std::string path = {};  // Of the repository; for kNone also of one archive.
  ControlMode mode = ControlMode::kNone;
  std::vector<std::string> load_at_start = {};  // For kExplicit; "*" is all.
  std::chrono::milliseconds poll_interval{15'000};
  QueueSettings queue = {};  // Of each model that says nothing else.
  std::function<void(const std::string& line)> log = {};
};

// Thread-safe after Begin(). Changes are made one after another, on a thread of their own; what a
// change is, ServedModels says.
class ModelControl {
 public:
  using Done = std::function<void(const Status&)>;

  // All that can be known without interpreters: as FindModels(); kInvalidArgument for settings that
  // are not valid, for control of one archive, and for kNone without a model.
  static Status Check(const ControlOptions& options);

  // `registry` and `health` outlive it.
  ModelControl(ControlOptions options, ModelRegistry& registry, Health& health);
  ModelControl(const ModelControl&) = delete;
  ModelControl& operator=(const ModelControl&) = delete;
  ~ModelControl();

  // Loads what is to be served at the start, on this thread; the first failure. Once. `loader`
  // outlives End().
  Status Begin(const ModelLoader& loader, std::shared_ptr<Timer> timer);

  // `settings`: in place of the model's config.yaml, until it is loaded again. `done` is called
  // exactly once, on any thread. kFailedPrecondition unless kExplicit; kNotFound for a name that
  // the repository does not have; kUnavailable after End(); else as FindModel() and
  // ServedModels::Load().
  void Load(const std::string& name, const std::optional<std::string>& settings, const Done& done);
  // As ServedModels::Unload(), and kFailedPrecondition unless kExplicit.
  void Unload(const std::string& name, const Done& done);

  // Whether Load() and Unload() do anything.
  [[nodiscard]] bool takes_requests() const { return options_.mode == ControlMode::kExplicit; }

  // Of what is served or was to be, and of what else the repository has.
  [[nodiscard]] std::vector<ServedModels::State> States() const;

  // Changes nothing any more; returns when the change that is under way is made.
  void End();

 private:
  // What a model's folder held when it was looked at.
  struct Content {
    std::string settings;  // The text.
    std::map<std::string, FileStamp> archives;

    bool operator==(const Content&) const = default;
  };

  Status LoadAtStart();
  void Submit(std::function<Status()> change, const Done& done);
  Status LoadNamed(const std::string& name, const std::optional<std::string>& settings);
  void PollLater();
  void Poll();
  void PollModel(const std::string& name);
  Status LoadChanged(const std::string& name);
  void Log(const std::string& line) const;

  const ControlOptions options_;
  Health& health_;
  ServedModels served_;
  const ModelLoader* loader_ = nullptr;
  std::shared_ptr<Timer> timer_;
  std::shared_ptr<Worker> worker_;
  Timer::Appointment next_poll_;
  std::map<std::string, Content> polled_;  // By model.
  std::atomic<bool> is_ending_ = false;
};

}  // namespace torchdeploy::server
