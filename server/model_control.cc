#include "server/model_control.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "server/file_stamp.h"
#include "server/health.h"
#include "server/model_loader.h"
#include "server/model_registry.h"
#include "server/model_repository.h"
#include "server/model_settings.h"
#include "server/request_queue.h"
#include "server/served_models.h"
#include "server/text_file.h"
#include "server/timer.h"
#include "server/worker.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

namespace {

constexpr const char* kAllModels = "*";

Status CheckMode(const ControlOptions& options) {
  if (options.mode != ControlMode::kExplicit && !options.load_at_start.empty()) {
    return {Code::kInvalidArgument,
            "--load-model " + options.load_at_start.front() + " needs --model-control explicit"};
  }
  std::error_code error;
  if (options.mode == ControlMode::kNone || std::filesystem::is_directory(options.path, error)) {
    return {};
  }
  return {
      Code::kInvalidArgument,
      options.path + " is no folder; models are controlled in a folder NAME/VERSION/*.pt or *.pt2"};
}

Result<SettingsText> SettingsOf(const ModelFolder& folder) {
  if (folder.settings.empty()) {
    return SettingsText{"model '" + folder.name + "'", ""};
  }
  Result<std::string> text = ReadTextFile(folder.settings);
  if (!text.ok()) {
    return text.status();
  }
  return SettingsText{folder.settings, *std::move(text)};
}

Status CheckSettings(const ModelFolder& folder, const QueueSettings& queue) {
  const Result<SettingsText> text = SettingsOf(folder);
  if (!text.ok()) {
    return text.status();
  }
  ModelSettings settings{.queue = queue};
  return ParseModelSettings(text->text, text->place, &settings);
}

void PostTo(const std::weak_ptr<Worker>& weak, const std::function<void()>& work) {
  if (const auto worker = weak.lock(); worker != nullptr) {
    (void)worker->Post(work);  // If it is not taken, the server is stopping.
  }
}

bool IsIn(const std::string& repository, const std::string& name) {
  const Result<std::vector<std::string>> names = FindNames(repository);
  return names.ok() && std::ranges::find(*names, name) != names->end();
}

Result<std::vector<ModelFolder>> FoldersAtStart(const ControlOptions& options) {
  const bool is_all =
      options.mode != ControlMode::kExplicit ||
      std::ranges::find(options.load_at_start, kAllModels) != options.load_at_start.end();
  if (is_all) {
    return FindModels(options.path);
  }
  std::vector<ModelFolder> folders;
  for (const std::string& name : options.load_at_start) {
    Result<ModelFolder> folder = FindModel(options.path, name);
    if (!folder.ok()) {
      return folder.status();
    }
    folders.push_back(*std::move(folder));
  }
  return folders;
}

}  // namespace

Status ModelControl::Check(const ControlOptions& options) {
  if (Status status = CheckMode(options); !status.ok()) {
    return status;
  }
  const Result<std::vector<ModelFolder>> folders = FoldersAtStart(options);
  if (!folders.ok()) {
    return folders.status();
  }
  if (folders->empty() && options.mode == ControlMode::kNone) {
    return {Code::kInvalidArgument, "folder " + options.path +
                                        " is empty; a model repository is laid out as "
                                        "NAME/VERSION/*.pt or *.pt2"};
  }
  for (const ModelFolder& folder : *folders) {
    if (Status status = CheckSettings(folder, options.queue); !status.ok()) {
      return status;
    }
  }
  return {};
}

ModelControl::ModelControl(ControlOptions options, ModelRegistry& registry, Health& health)
    : options_(std::move(options)), health_(health), served_(options_.queue, registry, health) {
  const Result<std::vector<ModelFolder>> folders = FoldersAtStart(options_);
  for (const ModelFolder& folder : folders.ok() ? *folders : std::vector<ModelFolder>()) {
    if (!folder.name.empty()) {
      health_.Set(folder.name, false);
    }
  }
}

ModelControl::~ModelControl() {
  End();
}

Status ModelControl::Begin(const ModelLoader& loader, std::shared_ptr<Timer> timer) {
  loader_ = &loader;
  timer_ = std::move(timer);
  if (Status status = LoadAtStart(); !status.ok()) {
    return status;
  }
  if (options_.mode == ControlMode::kNone) {
    return {};
  }
  Result<std::shared_ptr<Worker>> worker = Worker::Start();
  if (!worker.ok()) {
    return worker.status();
  }
  worker_ = *std::move(worker);
  if (options_.mode == ControlMode::kPoll) {
    PollLater();
  }
  return {};
}

Status ModelControl::LoadAtStart() {
  const Result<std::vector<ModelFolder>> folders = FoldersAtStart(options_);
  if (!folders.ok()) {
    return folders.status();
  }
  for (const ModelFolder& folder : *folders) {
    const Result<SettingsText> settings = SettingsOf(folder);
    const Status status =
        settings.ok() ? served_.Load(*loader_, folder, *settings) : settings.status();
    if (!status.ok()) {
      return status;
    }
  }
  return {};
}

void ModelControl::Load(const std::string& name, const std::optional<std::string>& settings,
                        const Done& done) {
  Submit(
      [this, name, settings] {
        Status status = LoadNamed(name, settings);
        if (!status.ok() && IsIn(options_.path, name)) {
          served_.NoteFailure(name, status);
        }
        return status;
      },
      done);
}

void ModelControl::Unload(const std::string& name, const Done& done) {
  Submit([this, name] { return served_.Unload(name); }, done);
}

void ModelControl::Submit(std::function<Status()> change, const Done& done) {
  if (!takes_requests()) {
    done({Code::kFailedPrecondition,
          "this server loads and unloads nothing by request: it was started without "
          "--model-control explicit"});
    return;
  }
  const Status is_ending(Code::kUnavailable, "the server is stopping");
  const bool is_posted = worker_->Post([this, change = std::move(change), done, is_ending] {
    done(is_ending_ ? is_ending : change());
  });
  if (!is_posted) {
    done(is_ending);
  }
}

Status ModelControl::LoadNamed(const std::string& name,
                               const std::optional<std::string>& settings) {
  const Result<ModelFolder> folder = FindModel(options_.path, name);
  if (!folder.ok()) {
    return folder.status();
  }
  const Result<SettingsText> text =
      settings.has_value() ? SettingsText{"parameter 'config'", *settings} : SettingsOf(*folder);
  return text.ok() ? served_.Load(*loader_, *folder, *text) : text.status();
}

void ModelControl::PollLater() {
  const auto due = Timer::Clock::now() + options_.poll_interval;
  const std::function<void()> poll = [this] { Poll(); };
  next_poll_ = timer_->At(due, [weak = std::weak_ptr(worker_), poll] { PostTo(weak, poll); });
}

void ModelControl::Poll() {
  if (is_ending_) {
    return;
  }
  const Result<std::vector<std::string>> names = FindNames(options_.path);
  if (!names.ok()) {
    Log(names.status().message());
    PollLater();
    return;
  }
  for (const std::string& name : *names) {
    PollModel(name);
  }
  for (const ServedModels::State& state : served_.States()) {
    const bool is_gone = std::ranges::find(*names, state.name) == names->end();
    if (is_gone && served_.Unload(state.name).ok()) {
      polled_.erase(state.name);
      Log("model '" + state.name + "' is unloaded: it is no longer in the repository");
    }
  }
  PollLater();
}

void ModelControl::PollModel(const std::string& name) {
  const Status status = LoadChanged(name);
  if (!status.ok() && served_.NoteFailure(name, status)) {
    Log("model '" + name + "' is not changed: " + status.message());
  }
}

Status ModelControl::LoadChanged(const std::string& name) {
  const Result<ModelFolder> folder = FindModel(options_.path, name);
  if (!folder.ok()) {
    return folder.status();
  }
  const Result<SettingsText> settings = SettingsOf(*folder);
  if (!settings.ok()) {
    return settings.status();
  }
  Content content{settings->text, {}};
  for (const ArchiveLocation& archive : folder->versions) {
    content.archives[archive.version] = StampOf(archive.path);
  }
  const auto [polled, is_new] = polled_.try_emplace(name, content);
  if (!is_new && polled->second == content) {
    return {};
  }
  polled->second = std::move(content);
  return served_.Load(*loader_, *folder, *settings);
}

std::vector<ServedModels::State> ModelControl::States() const {
  std::vector<ServedModels::State> states = served_.States();
  const Result<std::vector<std::string>> names = FindNames(options_.path);
  for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
    if (std::ranges::find(states, name, &ServedModels::State::name) == states.end()) {
      states.push_back({name, "", false, "not loaded"});
    }
  }
  std::ranges::stable_sort(states, {}, &ServedModels::State::name);
  return states;
}

void ModelControl::End() {
  is_ending_ = true;
  if (worker_ != nullptr) {
    worker_->Stop();
  }
}

void ModelControl::Log(const std::string& line) const {
  if (options_.log) {
    options_.log(line);
  }
}

}  // namespace torchdeploy::server
