// Tests of models that are loaded, replaced and unloaded while the server serves.
#include "server/model_control.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "server/model_registry.h"
#include "torchdeploy/status.h"

#include "health.grpc.pb.h"
#include "health.pb.h"
#include "open_inference_grpc.pb.h"
#include "tests/cpp/runtime/fake_pool.h"
#include "tests/cpp/server/running_server.h"

namespace torchdeploy::server {
namespace {

using grpc::health::v1::HealthCheckResponse;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr const char* kInputs = R"([{"name": "x", "datatype": "FP32", "shape": [-1, 2]}])";

class ModelControlTest : public testing::Test {
 protected:
  void Serve(ControlOptions control) {
    std::filesystem::create_directories(running_.models());
    control.log = [this](const std::string& line) {
      const std::lock_guard lock(mutex_);
      log_.push_back(line);
    };
    running_.Control(std::move(control));
    running_.Listen();
    running_.Load();
  }
  void ServeByRequest(std::vector<std::string> load_at_start = {}) {
    Serve({.mode = ControlMode::kExplicit, .load_at_start = std::move(load_at_start)});
  }
  void ServeByPolling() {
    Serve({.mode = ControlMode::kPoll, .poll_interval = std::chrono::milliseconds(10)});
  }

  void AddVersion(const std::string& model, const std::string& version,
                  const std::string& resource = "double") {
    running_.Add(model, version, FakeManifest(resource, kInputs));
  }
  void Configure(const std::string& model, const std::string& text) const {
    std::ofstream(running_.models() + "/" + model + "/config.yaml") << text;
  }

  grpc::Status Load(const std::string& model, const std::string& config = "") {
    inference::RepositoryModelLoadRequest request;
    request.set_model_name(model);
    if (!config.empty()) {
      (*request.mutable_parameters())["config"].set_string_param(config);
    }
    return running_.LoadModel(request);
  }
  grpc::Status Unload(const std::string& model) {
    grpc::ClientContext context;
    SetDeadline(context);
    inference::RepositoryModelUnloadRequest request;
    request.set_model_name(model);
    (*request.mutable_parameters())["unload_dependents"].set_bool_param(true);
    inference::RepositoryModelUnloadResponse response;
    return running_.stub().RepositoryModelUnload(&context, request, &response);
  }

  // "NAME VERSION STATE REASON" of each.
  std::vector<std::string> Index(bool only_ready = false) {
    grpc::ClientContext context;
    SetDeadline(context);
    inference::RepositoryIndexRequest request;
    request.set_ready(only_ready);
    inference::RepositoryIndexResponse response;
    EXPECT_TRUE(running_.stub().RepositoryIndex(&context, request, &response).ok());
    std::vector<std::string> lines;
    for (const auto& model : response.models()) {
      lines.push_back(model.name() + " " + model.version() + " " + model.state() + " " +
                      model.reason());
    }
    return lines;
  }

  Answer Infer(const std::string& model) {
    ModelInferRequest request = RequestTo(model);
    AddRaw(request, "x", "FP32", {1, 2}, RawFloats({1, 2}));
    return running_.Infer(request);
  }
  std::vector<std::string> Versions(const std::string& model) {
    return running_.server().models().Versions(model);
  }
  std::shared_ptr<const Model> Find(const std::string& model, const std::string& version) {
    const auto found = running_.server().models().Find(model, version);
    return found.ok() ? *found : nullptr;
  }
  HealthCheckResponse::ServingStatus Health(const std::string& model) {
    const auto stub = grpc::health::v1::Health::NewStub(running_.NewChannel());
    grpc::ClientContext context;
    SetDeadline(context);
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(model);
    HealthCheckResponse response;
    EXPECT_TRUE(stub->Check(&context, request, &response).ok());
    return response.status();
  }
  std::vector<std::string> log() {
    const std::lock_guard lock(mutex_);
    return log_;
  }

  RunningServer running_;

 private:
  std::mutex mutex_;
  std::vector<std::string> log_;
};

TEST_F(ModelControlTest, AModelIsServedFromItsLoadToItsUnload) {
  AddVersion("m", "1");
  ServeByRequest();
  EXPECT_THAT(Index(), ElementsAre("m  UNAVAILABLE not loaded"));
  EXPECT_EQ(Infer("m").status.error_code(), grpc::StatusCode::NOT_FOUND);

  EXPECT_TRUE(Load("m").ok());
  EXPECT_TRUE(Infer("m").status.ok());
  EXPECT_THAT(Index(), ElementsAre("m 1 READY "));
  EXPECT_EQ(Health("m"), HealthCheckResponse::SERVING);

  EXPECT_TRUE(Unload("m").ok());
  EXPECT_EQ(Infer("m").status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(Index(), ElementsAre("m  UNAVAILABLE unloaded"));
  EXPECT_THAT(Index(/*only_ready=*/true), IsEmpty());
  EXPECT_EQ(Health("m"), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(Health(""), HealthCheckResponse::SERVING);

  EXPECT_TRUE(Load("m").ok());
  EXPECT_TRUE(Infer("m").status.ok());
}

TEST_F(ModelControlTest, ModelsNamedAtTheStartAreServedThen) {
  AddVersion("a", "1");
  AddVersion("b", "1");
  ServeByRequest({"b"});
  EXPECT_THAT(Index(), ElementsAre("a  UNAVAILABLE not loaded", "b 1 READY "));
}

TEST_F(ModelControlTest, AStarAtTheStartIsEveryModel) {
  AddVersion("a", "1");
  AddVersion("b", "1");
  ServeByRequest({"*"});
  EXPECT_THAT(Index(), ElementsAre("a 1 READY ", "b 1 READY "));
}

TEST_F(ModelControlTest, WithoutControlByRequestNothingIsLoadedOrUnloaded) {
  AddVersion("m", "1");
  Serve({});
  for (const grpc::Status& status : {Load("m"), Unload("m")}) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_THAT(status.error_message(), HasSubstr("--model-control explicit"));
  }
  EXPECT_TRUE(Infer("m").status.ok());
}

TEST_F(ModelControlTest, AnUnknownNameIsToldWhatThereIs) {
  AddVersion("m", "1");
  ServeByRequest();
  for (const char* name : {"n", "../models/m", ""}) {
    const grpc::Status status = Load(name);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND) << name;
    EXPECT_THAT(status.error_message(), HasSubstr("it has: m")) << name;
  }
  EXPECT_EQ(Unload("m").error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(Index(), SizeIs(1));
}

TEST_F(ModelControlTest, OtherParametersAndRepositoriesAreRefused) {
  AddVersion("m", "1");
  ServeByRequest();
  inference::RepositoryModelLoadRequest request;
  request.set_model_name("m");
  (*request.mutable_parameters())["file:1/model.pt"].set_bytes_param("x");
  EXPECT_THAT(running_.LoadModel(request).error_message(), HasSubstr("'file:1/model.pt'"));
  request.clear_parameters();
  (*request.mutable_parameters())["config"].set_int64_param(1);
  EXPECT_THAT(running_.LoadModel(request).error_message(), HasSubstr("'config' is no string"));
  request.clear_parameters();
  request.set_repository_name("elsewhere");
  const grpc::Status status = running_.LoadModel(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("'elsewhere'"));
}

TEST_F(ModelControlTest, AFailedLoadLeavesTheOldVersionsServing) {
  AddVersion("m", "1");
  ServeByRequest({"m"});
  AddVersion("m", "2", "missing");
  const grpc::Status status = Load("m");
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.error_message(), HasSubstr("m/2/model.pt"));
  EXPECT_THAT(Versions("m"), ElementsAre("1"));
  EXPECT_EQ(Infer("m").response.model_version(), "1");
  EXPECT_THAT(Index(), ElementsAre(AllOf(HasSubstr("m 1 READY "), HasSubstr("m/2/model.pt"))));

  std::filesystem::remove_all(running_.models() + "/m/2");
  EXPECT_TRUE(Load("m").ok());
  EXPECT_THAT(Index(), ElementsAre("m 1 READY "));
}

TEST_F(ModelControlTest, OnlyWhatChangedIsLoadedAgain) {
  AddVersion("m", "1");
  AddVersion("m", "2");
  ServeByRequest({"m"});
  const auto first = Find("m", "1");
  const auto second = Find("m", "2");
  AddVersion("m", "2");  // Written again.
  EXPECT_TRUE(Load("m").ok());
  EXPECT_EQ(Find("m", "1"), first);
  EXPECT_NE(Find("m", "2"), second);
  Configure("m", "queue: {max_size: 5}");
  EXPECT_TRUE(Load("m").ok());
  EXPECT_NE(Find("m", "1"), first);
}

TEST_F(ModelControlTest, SettingsChooseTheVersionsAndTheDefaultOne) {
  for (const char* version : {"1", "2", "10"}) {
    AddVersion("m", version);
  }
  ServeByRequest({"m"});
  EXPECT_THAT(Versions("m"), ElementsAre("1", "2", "10"));
  EXPECT_TRUE(Load("m", R"({"versions": {"latest": 2}})").ok());
  EXPECT_THAT(Versions("m"), ElementsAre("2", "10"));
  EXPECT_TRUE(Load("m", R"({"versions": [1, 10], "default_version": 1})").ok());
  EXPECT_THAT(Versions("m"), ElementsAre("1", "10"));
  EXPECT_EQ(Infer("m").response.model_version(), "1");

  EXPECT_THAT(Load("m", "versions: [3]").error_message(),
              AllOf(HasSubstr("'3'"), HasSubstr("1, 2, 10")));
  EXPECT_THAT(Load("m", "{versions: [1], default_version: 2}").error_message(),
              AllOf(HasSubstr("default_version"), HasSubstr("'2'")));
  const grpc::Status status = Load("m", R"({"version": 1})");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("did you mean 'versions'"));
  EXPECT_THAT(Versions("m"), ElementsAre("1", "10"));

  EXPECT_TRUE(Load("m").ok());
  EXPECT_THAT(Versions("m"), ElementsAre("1", "2", "10"));
}

TEST_F(ModelControlTest, RequestsThatRunAndWaitAreAnsweredByTheVersionThatTookThem) {
  AddVersion("m", "1", "hang");
  AddVersion("other", "1");
  ServeByRequest({"m", "other"});
  std::vector<std::thread> clients;
  std::vector<Answer> answers(4);  // Two run, two wait.
  for (Answer& answer : answers) {
    clients.emplace_back([&] { answer = Infer("m"); });
  }
  AwaitHanging(2);
  Eventually([&] { return Find("m", "1")->queue->waiting() == 2; });
  EXPECT_TRUE(Unload("m").ok());
  EXPECT_EQ(Infer("m").status.error_code(), grpc::StatusCode::NOT_FOUND);
  for (int i = 0; i < 2; ++i) {
    AwaitHanging(2);
    ReleaseHanging();
  }
  for (std::thread& client : clients) {
    client.join();
  }
  for (const Answer& answer : answers) {
    EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
  }
}

TEST_F(ModelControlTest, NoRequestFailsWhileVersionsAreSwapped) {
  AddVersion("m", "1");
  ServeByRequest({"m"});
  std::atomic<bool> is_over = false;
  std::atomic<int> answered = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&] {
      while (!is_over) {
        const Answer answer = Infer("m");
        EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
        ++answered;
      }
    });
  }
  for (int version = 2; version < 12; ++version) {
    const int before = answered;
    AddVersion("m", std::to_string(version));
    EXPECT_TRUE(Load("m", "versions: {latest: 1}").ok());
    EXPECT_THAT(Versions("m"), ElementsAre(std::to_string(version)));
    Eventually([&] { return answered > before; });
  }
  is_over = true;
  for (std::thread& client : clients) {
    client.join();
  }
}

TEST_F(ModelControlTest, PollingFollowsTheFolder) {
  ServeByPolling();
  EXPECT_THAT(Index(), IsEmpty());
  AddVersion("m", "1");
  Eventually([&] { return Versions("m") == std::vector<std::string>{"1"}; });
  AddVersion("m", "2");
  Eventually([&] { return Versions("m") == std::vector<std::string>{"1", "2"}; });
  Configure("m", "versions: [1]");
  Eventually([&] { return Versions("m") == std::vector<std::string>{"1"}; });
  std::filesystem::remove_all(running_.models() + "/m");
  Eventually([&] { return Versions("m").empty(); });
  EXPECT_EQ(Infer("m").status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(log(), Contains(HasSubstr("model 'm' is unloaded")));
}

TEST_F(ModelControlTest, PollingSaysOnceWhatItCannotLoadAndGoesOnServing) {
  AddVersion("m", "1");
  ServeByPolling();
  AddVersion("m", "2", "missing");
  Eventually([&] { return !log().empty(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // Some more looks.
  EXPECT_THAT(log(), ElementsAre(AllOf(HasSubstr("model 'm'"), HasSubstr("m/2/model.pt"))));
  EXPECT_TRUE(Infer("m").status.ok());
  AddVersion("m", "2");
  Eventually([&] { return Versions("m") == std::vector<std::string>{"1", "2"}; });
}

TEST_F(ModelControlTest, PollingDoesNotLoadAgainWhatDidNotChange) {
  AddVersion("m", "1");
  ServeByPolling();
  const auto model = Find("m", "1");
  AddVersion("n", "1");
  Eventually([&] { return !Versions("n").empty(); });
  EXPECT_EQ(Find("m", "1"), model);
}

TEST_F(ModelControlTest, ALoadThatIsUnderWayAtTheEndIsFinishedAndOthersAreRefused) {
  AddVersion("m", "1", "hang");
  AddVersion("n", "1");
  ServeByRequest({"m"});
  std::thread client([&] { EXPECT_TRUE(Infer("m").status.ok()); });
  AwaitHanging(1);
  grpc::Status first;
  grpc::Status second;
  std::thread loading([&] { first = Load("n"); });  // Waits for the interpreter that hangs.
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  std::thread waiting([&] { second = Load("n"); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  std::thread drain([&] { running_.server().Drain(); });
  Eventually([&] { return !running_.IsReady(); });
  ReleaseHanging();
  for (std::thread* thread : {&drain, &client, &loading, &waiting}) {
    thread->join();
  }
  EXPECT_TRUE(first.ok()) << first.error_message();
  EXPECT_TRUE(second.ok() || second.error_code() == grpc::StatusCode::UNAVAILABLE);
}

TEST(ModelControlCheckTest, ControlNeedsAFolderAndNamesNeedExplicitControl) {
  const TemporaryFolder folder;
  const std::string file = folder.File("model.pt");
  std::ofstream(file) << "archive";
  for (const ControlMode mode : {ControlMode::kExplicit, ControlMode::kPoll}) {
    const Status status = ModelControl::Check({.path = file, .mode = mode});
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_THAT(status.message(), AllOf(HasSubstr(file), HasSubstr("is no folder")));
  }
  const Status status = ModelControl::Check({.path = file, .load_at_start = {"m"}});
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("--load-model m"));
}

TEST(ModelControlCheckTest, AnEmptyFolderIsForThoseWhoAddToIt) {
  const TemporaryFolder folder;
  const std::string models = folder.File("models");
  std::filesystem::create_directories(models);
  EXPECT_EQ(ModelControl::Check({.path = models}).code(), Code::kInvalidArgument);
  EXPECT_TRUE(ModelControl::Check({.path = models, .mode = ControlMode::kExplicit}).ok());
  EXPECT_TRUE(ModelControl::Check({.path = models, .mode = ControlMode::kPoll}).ok());
}

}  // namespace
}  // namespace torchdeploy::server
