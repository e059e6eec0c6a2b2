// Tests of traces and of what clients change: a server, a client, and a collector over sockets.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "server/log.h"
#include "server/server.h"
#include "server/trace_context.h"

#include "open_inference_grpc.pb.h"
#include "otlp_trace.grpc.pb.h"
#include "otlp_trace.pb.h"
#include "tests/cpp/server/running_server.h"

namespace torchdeploy::server {
namespace {

namespace otlp = opentelemetry::proto::collector::trace::v1;

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;
using testing::UnorderedElementsAre;

constexpr std::chrono::seconds kLongest{20};
const std::string kCaller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

class Collector final : public otlp::TraceService::Service {
 public:
  Collector() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;
  ~Collector() override {
    server_->Shutdown(std::chrono::system_clock::now());
    // ThreadSanitizer does not see that Shutdown() has waited for the last Export().
    const std::lock_guard lock(mutex_);
    spans_ = {};
  }

  [[nodiscard]] std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }

  void Refuse(bool refuses) { refuses_ = refuses; }

  grpc::Status Export(grpc::ServerContext* /*context*/,
                      const otlp::ExportTraceServiceRequest* request,
                      otlp::ExportTraceServiceResponse* /*response*/) override {
    if (refuses_) {
      return {grpc::StatusCode::PERMISSION_DENIED, "not you"};
    }
    const std::lock_guard lock(mutex_);
    for (const auto& resource : request->resource_spans()) {
      for (const auto& scope : resource.scope_spans()) {
        spans_.insert(spans_.end(), scope.spans().begin(), scope.spans().end());
      }
    }
    changed_.notify_all();
    return {};
  }

  // By name, when there are as many.
  std::map<std::string, otlp::Span> Await(size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kLongest, [&] { return spans_.size() >= count; }));
    std::map<std::string, otlp::Span> by_name;
    for (const otlp::Span& span : spans_) {
      by_name[span.name()] = span;
    }
    return by_name;
  }

 private:
  int port_ = 0;
  std::atomic<bool> refuses_ = false;
  std::unique_ptr<grpc::Server> server_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<otlp::Span> spans_;  // Guarded by mutex_.
};

class TracesTest : public testing::Test {
 protected:
  void SetUp() override {
    running_.Add("echo", "1", FakeManifest("echo", R"([{"name": "x", "datatype": "BYTES"},
        {"name": "trace", "datatype": "BYTES"}])"));
    std::ofstream(running_.models() + "/echo/config.yaml") << "traceparent: trace";
    running_.wanted().otlp_endpoint = collector_.endpoint();
    running_.wanted().trace_rate = 1;
    running_.wanted().allow_settings = true;
    running_.wanted().log = {LogFormat::kText, [this](const std::string& line) {
                               const std::lock_guard lock(mutex_);
                               lines_.push_back(line);
                               logged_.notify_all();
                             }};
  }

  void Start() {
    running_.Listen(1);
    running_.Load();
  }

  // An inference of a client at this place of a trace; gives what the model got as its own.
  std::string Infer(const std::string& traceparent, const std::string& id = "") {
    ModelInferRequest request = RequestTo("echo");
    request.set_id(id);
    AddRaw(request, "x", "BYTES", {1}, RawByteStrings({"text"}));
    grpc::ClientContext context;
    SetDeadline(context);
    if (!traceparent.empty()) {
      context.AddMetadata("traceparent", traceparent);
      context.AddMetadata("tracestate", "vendor=1");
    }
    ModelInferResponse response;
    const grpc::Status status = running_.stub().ModelInfer(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    const std::string& raw = response.raw_output_contents(1);
    return raw.substr(sizeof(uint32_t));
  }

  std::map<std::string, std::string> TraceSettings(const std::map<std::string, std::string>& change,
                                                   const std::string& model = "",
                                                   grpc::Status* status = nullptr) {
    inference::TraceSettingRequest request;
    request.set_model_name(model);
    for (const auto& [name, value] : change) {
      auto& setting = (*request.mutable_settings())[name];
      if (!value.empty()) {
        setting.add_value(value);
      }
    }
    grpc::ClientContext context;
    SetDeadline(context);
    inference::TraceSettingResponse response;
    const grpc::Status got = running_.stub().TraceSetting(&context, request, &response);
    (status != nullptr ? *status : last_) = got;
    std::map<std::string, std::string> settings;
    for (const auto& [name, value] : response.settings()) {
      settings[name] = value.value_size() == 1 ? value.value(0) : "";
    }
    return settings;
  }

  bool AwaitLine(const std::string& part) {
    std::unique_lock lock(mutex_);
    return logged_.wait_for(lock, kLongest, [&] {
      return std::any_of(lines_.begin(), lines_.end(), [&](const std::string& line) {
        return line.find(part) != std::string::npos;
      });
    });
  }

  Collector collector_;
  grpc::Status last_;
  std::mutex mutex_;
  std::condition_variable logged_;
  std::vector<std::string> lines_;  // Guarded by mutex_.
  RunningServer running_;           // The last: it uses the others.
};

TEST_F(TracesTest, ARequestIsASpanBelowItsClientsWithItsPartsBelow) {
  Start();
  Infer(kCaller, "seventh");
  const auto spans = collector_.Await(5);
  const TraceContext caller = *ParseTraceParent(kCaller);
  const otlp::Span& request = spans.at("infer echo");
  EXPECT_EQ(request.trace_id(), std::string(caller.trace_id.begin(), caller.trace_id.end()));
  EXPECT_EQ(request.parent_span_id(), std::string(caller.span_id.begin(), caller.span_id.end()));
  EXPECT_EQ(request.trace_state(), "vendor=1");
  EXPECT_EQ(request.kind(), otlp::Span::SPAN_KIND_SERVER);
  EXPECT_EQ(request.status().code(), otlp::Status::STATUS_CODE_UNSET);
  uint64_t latest = request.start_time_unix_nano();
  for (const char* part : {"queue", "batch", "execution", "response"}) {
    SCOPED_TRACE(part);
    const otlp::Span& span = spans.at(part);
    EXPECT_EQ(span.trace_id(), request.trace_id());
    EXPECT_EQ(span.parent_span_id(), request.span_id());
    EXPECT_GE(span.start_time_unix_nano(), latest);
    EXPECT_GE(span.end_time_unix_nano(), span.start_time_unix_nano());
    latest = span.end_time_unix_nano();
  }
  EXPECT_EQ(latest, request.end_time_unix_nano());
  std::map<std::string, std::string> texts;
  for (const auto& attribute : request.attributes()) {
    texts[attribute.key()] = attribute.value().string_value();
  }
  EXPECT_THAT(texts, Contains(Pair("torchdeploy.model", "echo")));
  EXPECT_THAT(texts, Contains(Pair("torchdeploy.version", "1")));
  EXPECT_THAT(texts, Contains(Pair("torchdeploy.request_id", "seventh")));
}

TEST_F(TracesTest, TheModelGetsThePlaceOfItsRequest) {
  Start();
  const std::string given = Infer(kCaller);
  const otlp::Span request = collector_.Await(5).at("infer echo");
  const std::optional<TraceContext> context = ParseTraceParent(given);
  ASSERT_TRUE(context) << given;
  EXPECT_EQ(std::string(context->trace_id.begin(), context->trace_id.end()), request.trace_id());
  EXPECT_EQ(std::string(context->span_id.begin(), context->span_id.end()), request.span_id());
}

TEST_F(TracesTest, WithoutACollectorTheModelGetsThePlaceOfItsClient) {
  running_.wanted().otlp_endpoint.clear();
  Start();
  EXPECT_EQ(Infer(kCaller), kCaller);
  EXPECT_EQ(Infer(""), "");
  EXPECT_EQ(Infer("nonsense"), "");
}

TEST_F(TracesTest, AClientWhoseTraceIsNotRecordedStaysUnrecorded) {
  Start();
  const std::string unsampled = kCaller.substr(0, kCaller.size() - 1) + "0";
  EXPECT_EQ(Infer(unsampled), unsampled);
  Infer("");  // Begins a trace of its own.
  const auto spans = collector_.Await(5);
  EXPECT_THAT(spans.at("infer echo").parent_span_id(), IsEmpty());
}

TEST_F(TracesTest, AFailedRequestIsAnErrorInItsTrace) {
  Start();
  EXPECT_EQ(running_.Infer(RequestTo("echo")).status.error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  const otlp::Span span = collector_.Await(1).at("infer echo");
  EXPECT_EQ(span.status().code(), otlp::Status::STATUS_CODE_ERROR);
  EXPECT_THAT(span.status().message(), HasSubstr("'x' is missing"));
}

TEST_F(TracesTest, TheEndOfTheServerSendsWhatWaits) {
  {
    RunningServer running;
    running.AddWithInputs("echo", {"x"});
    running.wanted().otlp_endpoint = collector_.endpoint();
    running.Listen(1);
    running.Load();
    ModelInferRequest request = RequestTo("echo");
    AddRaw(request, "x", "FP32", {1}, RawFloats({1}));
    EXPECT_TRUE(running.Infer(request).status.ok());
  }
  EXPECT_THAT(collector_.Await(5), SizeIs(5));
}

TEST_F(TracesTest, ACollectorThatRefusesIsInTheLogOnce) {
  collector_.Refuse(true);
  Start();
  Infer(kCaller);
  EXPECT_TRUE(AwaitLine("traces are dropped: " + collector_.endpoint() + ": not you"));
  collector_.Refuse(false);
  Infer(kCaller);
  EXPECT_TRUE(AwaitLine("traces are taken again"));
  const std::lock_guard lock(mutex_);
  EXPECT_THAT(lines_, SizeIs(2));
}

TEST_F(TracesTest, AnEndpointThatIsNoneIsRefusedAtTheStart) {
  for (const char* endpoint : {"127.0.0.1:4317", "http://", "http://host", "http://:4317",
                               "http://host:port", "grpc://host:4317", "http://host:4317/path"}) {
    ServerOptions options = running_.options();
    options.otlp_endpoint = endpoint;
    const auto server = Server::Listen(options);
    ASSERT_FALSE(server.ok()) << endpoint;
    EXPECT_THAT(server.status().message(), HasSubstr(std::string("'") + endpoint + "'"));
  }
}

TEST_F(TracesTest, TraceSettingsAreReadAndChanged) {
  Start();
  EXPECT_THAT(TraceSettings({}),
              UnorderedElementsAre(Pair("trace_level", "TIMESTAMPS"), Pair("trace_rate", "1"),
                                   Pair("trace_count", "-1"), Pair("trace_mode", "opentelemetry"),
                                   Pair("trace_file", ""), Pair("log_frequency", "0")));
  TraceSettings({{"trace_level", "OFF"}, {"log_frequency", "0"}}, "echo");
  EXPECT_EQ(Infer(kCaller), kCaller);
  EXPECT_EQ(TraceSettings({}, "echo").at("trace_level"), "OFF");
  EXPECT_EQ(TraceSettings({}).at("trace_level"), "TIMESTAMPS");
  EXPECT_EQ(TraceSettings({{"trace_level", ""}}, "echo").at("trace_level"), "TIMESTAMPS");
  EXPECT_NE(Infer(kCaller), kCaller);
}

TEST_F(TracesTest, ATraceSettingThatCannotBeIsRefusedAndNothingIsChanged) {
  Start();
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"trace_level", "TENSORS"},  {"trace_rate", "0"},      {"trace_rate", "1x"},
      {"trace_count", "-2"},       {"trace_mode", "triton"}, {"trace_file", "/tmp/trace"},
      {"trace_everything", "yes"}, {"log_frequency", "3"}};
  for (const auto& [name, value] : wrong) {
    grpc::Status status;
    TraceSettings({{name, value}, {"trace_count", "5"}}, "", &status);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << name;
    EXPECT_THAT(status.error_message(), HasSubstr("'" + name + "'"));
  }
  EXPECT_EQ(TraceSettings({}).at("trace_count"), "-1");
  grpc::Status status;
  TraceSettings({}, "nobody", &status);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(TracesTest, TracesWithoutACollectorAreRefused) {
  running_.wanted().otlp_endpoint.clear();
  Start();
  EXPECT_EQ(TraceSettings({}).at("trace_level"), "OFF");
  grpc::Status status;
  TraceSettings({{"trace_level", "TIMESTAMPS"}}, "", &status);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("--otlp-endpoint"));
}

class LogSettingsTest : public TracesTest {
 protected:
  std::map<std::string, bool> LogSettings(const std::map<std::string, bool>& change) {
    inference::LogSettingsRequest request;
    for (const auto& [name, value] : change) {
      (*request.mutable_settings())[name].set_bool_param(value);
    }
    grpc::ClientContext context;
    SetDeadline(context);
    inference::LogSettingsResponse response;
    last_ = running_.stub().LogSettings(&context, request, &response);
    std::map<std::string, bool> settings;
    for (const auto& [name, value] : response.settings()) {
      settings[name] = value.bool_param();
    }
    return settings;
  }
};

TEST_F(LogSettingsTest, LinesForFailedRequestsAreSwitchedOffAndOn) {
  Start();
  EXPECT_THAT(LogSettings({}), ElementsAre(Pair("log_error", true), Pair("log_info", true)));
  EXPECT_THAT(LogSettings({{"log_error", false}}), Contains(Pair("log_error", false)));
  EXPECT_FALSE(running_.Infer(RequestTo("first")).status.ok());
  LogSettings({{"log_error", true}});
  EXPECT_FALSE(running_.Infer(RequestTo("second")).status.ok());
  const std::lock_guard lock(mutex_);
  EXPECT_THAT(lines_, ElementsAre(HasSubstr("'second'")));
}

TEST_F(LogSettingsTest, AnUnknownOneIsRefusedAndNothingIsChanged) {
  Start();
  LogSettings({{"log_error", false}, {"log_verbose", true}});
  EXPECT_EQ(last_.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(last_.error_message(), HasSubstr("'log_verbose'"));
  EXPECT_THAT(LogSettings({}), Contains(Pair("log_error", true)));
}

TEST_F(LogSettingsTest, SettingsAreOnlyReadUnlessClientsMayChangeThem) {
  running_.wanted().allow_settings = false;
  Start();
  EXPECT_THAT(LogSettings({}), SizeIs(2));
  EXPECT_THAT(TraceSettings({}), SizeIs(6));
  LogSettings({{"log_error", false}});
  EXPECT_EQ(last_.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  grpc::Status status;
  TraceSettings({{"trace_rate", "7"}}, "", &status);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(status.error_message(), HasSubstr("--allow-settings"));
}

}  // namespace
}  // namespace torchdeploy::server
