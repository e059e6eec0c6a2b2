// Asks a server of the Open Inference Protocol as fast as it answers.
//
//   load_generator HOST:PORT CONCURRENT CHANNELS SECONDS REQUEST...
//
// A REQUEST is a file with a serialized ModelInferRequest; they are sent in turn. So many are under
// way at any time, all asked for by one thread. Prints one line of JSON: requests per second, p50
// and p99 in us, errors, and the size of an answer in bytes. What is sent in the first tenth of
// the time only warms up.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <deque>
#include <fstream>
#include <memory>
#include <ratio>
#include <string>
#include <utility>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "open_inference_grpc.grpc.pb.h"
#include "open_inference_grpc.pb.h"
#include <grpc/grpc.h>

namespace {

using Clock = std::chrono::steady_clock;
using Stub = inference::GRPCInferenceService::Stub;
using Requests = std::vector<inference::ModelInferRequest>;

constexpr double kWarmUpShare = 0.1;
constexpr std::chrono::seconds kConnectTimeout{10};

struct Options {
  std::string target;
  size_t concurrent = 1;
  size_t channels = 1;
  double seconds = 1;
};

struct Tally {
  std::vector<double> took_us;
  size_t errors = 0;
  std::string first_error;
  size_t answer_bytes = 0;
};

// One RPC at a time, the next when it has been answered.
class Asker {
 public:
  Asker(Stub& stub, grpc::CompletionQueue& queue) : stub_(stub), queue_(queue) {}

  void Ask(const inference::ModelInferRequest& request) {
    context_ = std::make_unique<grpc::ClientContext>();
    response_.Clear();
    begin_ = Clock::now();
    reader_ = stub_.AsyncModelInfer(context_.get(), request, &queue_);
    reader_->Finish(&response_, &status_, this);
  }

  // Once the queue has given it back.
  void Count(Clock::time_point counted_from, Tally& tally) const {
    if (!status_.ok()) {
      tally.first_error = tally.errors == 0 ? status_.error_message() : tally.first_error;
      ++tally.errors;
    } else if (begin_ >= counted_from) {
      tally.took_us.push_back(
          std::chrono::duration<double, std::micro>(Clock::now() - begin_).count());
      tally.answer_bytes = response_.ByteSizeLong();
    }
  }

 private:
  Stub& stub_;
  grpc::CompletionQueue& queue_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<inference::ModelInferResponse>> reader_;
  inference::ModelInferResponse response_;
  grpc::Status status_;
  Clock::time_point begin_;
};

// Empty when one of them cannot be connected.
std::vector<std::unique_ptr<Stub>> Connect(const Options& options) {
  std::vector<std::unique_ptr<Stub>> stubs;
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // A connection for each.
  arguments.SetMaxReceiveMessageSize(-1);
  for (size_t i = 0; i < options.channels; ++i) {
    const auto channel =
        grpc::CreateCustomChannel(options.target, grpc::InsecureChannelCredentials(), arguments);
    if (!channel->WaitForConnected(std::chrono::system_clock::now() + kConnectTimeout)) {
      return {};
    }
    stubs.push_back(inference::GRPCInferenceService::NewStub(channel));
  }
  return stubs;
}

// Asks until the time is over and all are answered; the errors of all, and times of those that
// were sent after the warm-up.
Tally AskAll(const std::vector<std::unique_ptr<Stub>>& stubs, const Options& options,
             const Requests& requests, double& counted_seconds) {
  grpc::CompletionQueue queue;
  std::deque<Asker> askers;  // They stay where they are.
  size_t next = 0;
  const auto seconds = [](double count) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(count));
  };
  const Clock::time_point begin = Clock::now();
  const Clock::time_point counted_from = begin + seconds(options.seconds * kWarmUpShare);
  const Clock::time_point end = begin + seconds(options.seconds);
  for (size_t i = 0; i < options.concurrent; ++i) {
    askers.emplace_back(*stubs[i % stubs.size()], queue).Ask(requests[next++ % requests.size()]);
  }
  Tally tally;
  void* tag = nullptr;
  bool is_ok = false;
  for (size_t left = options.concurrent; left > 0 && queue.Next(&tag, &is_ok);) {
    auto* const asker = static_cast<Asker*>(tag);
    asker->Count(counted_from, tally);
    if (Clock::now() < end) {
      asker->Ask(requests[next++ % requests.size()]);
    } else {
      --left;
    }
  }
  counted_seconds = std::chrono::duration<double>(Clock::now() - counted_from).count();
  return tally;
}

double Percentile(std::vector<double>& values, double share) {
  const auto place =
      values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

int Run(const Options& options, const std::vector<std::string>& files) {
  Requests requests(files.size());
  for (size_t i = 0; i < files.size(); ++i) {
    std::ifstream file(files[i], std::ios::binary);
    if (!requests[i].ParseFromIstream(&file)) {
      std::fprintf(stderr, "%s: no ModelInferRequest\n", files[i].c_str());
      return 1;
    }
  }
  const std::vector<std::unique_ptr<Stub>> stubs = Connect(options);
  if (stubs.empty()) {
    std::fprintf(stderr, "%s: cannot be connected to\n", options.target.c_str());
    return 1;
  }
  double seconds = 0;
  Tally tally = AskAll(stubs, options, requests, seconds);
  if (tally.errors > 0) {
    std::fprintf(stderr, "%zu errors: %s\n", tally.errors, tally.first_error.c_str());
  }
  if (tally.took_us.empty()) {
    std::fprintf(stderr, "no answer\n");
    return 1;
  }
  std::printf(R"({"requests_per_second": %.1f, "p50_us": %.1f, "p99_us": %.1f, "errors": %zu, )"
              R"("answer_bytes": %zu})"
              "\n",
              static_cast<double>(tally.took_us.size()) / seconds, Percentile(tally.took_us, 0.5),
              Percentile(tally.took_us, 0.99), tally.errors, tally.answer_bytes);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() < 5) {
    std::fprintf(stderr,
                 "usage: load_generator HOST:PORT CONCURRENT CHANNELS SECONDS REQUEST...\n");
    return 2;
  }
  const Options options{arguments[0], std::stoul(arguments[1]), std::stoul(arguments[2]),
                        std::stod(arguments[3])};
  return Run(options, {arguments.begin() + 4, arguments.end()});
}
