// The RPC ModelStreamInfer: many inferences on one stream.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>

#include <grpcpp/grpcpp.h>

#include "server/admission.h"
#include "server/inference.h"
#include "server/serving_gate.h"
#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

// Requests are queued in their order and run beside each other; each is answered as soon as it can
// be, whatever came before it, with its id, and if its model yields more than once: an item is
// asked for when the one before it is written. An error is an answer, too (`error_message`), unless
// the client's metadata has "triton_grpc_error: true": then the first one ends the stream. A client
// that does not read its answers is not read from either. When it gives up, all that it has asked
// for ends.
class StreamInfer final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                          public std::enable_shared_from_this<StreamInfer> {
 public:
  using Admit = std::function<Result<Admission>(const inference::ModelInferRequest&)>;

  // To be returned by the RPC's handler. gRPC and the inferences own it.
  static StreamInfer* Begin(grpc::CallbackServerContext* context, Admit admit,
                            Surroundings surroundings);

  StreamInfer(grpc::CallbackServerContext* context, Admit admit, Surroundings surroundings);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  // A request and its answer.
  struct Exchange {
    std::shared_ptr<const inference::ModelInferRequest> request;
    // Another one for each answer: gRPC may still be sending the one before it.
    std::shared_ptr<inference::ModelStreamInferResponse> response =
        std::make_shared<inference::ModelStreamInferResponse>();
    // Until the answer is written.
    std::unique_ptr<ServingGate::Pass> pass;
    std::shared_ptr<Inference> inference;  // None when it is not let in.
  };

  // An answer that is not written.
  struct Unwritten {
    std::shared_ptr<Exchange> exchange;
    grpc::ByteBuffer bytes;
  };

  void Run(const std::shared_ptr<Exchange>& exchange);
  void Answer(const std::shared_ptr<Exchange>& exchange, const Status& status,
              Inference::Part part);
  // Each then answers.
  void EndRunning();
  void EndEarly(const Exchange& exchange);

  // What follows REQUIRES: mutex_ is held.
  // Has gRPC do what comes next.
  void Proceed();
  [[nodiscard]] bool IsOver() const;
  [[nodiscard]] bool MayRead() const;

  grpc::CallbackServerContext* const context_;
  const Admit admit_;
  const Surroundings surroundings_;
  const bool ends_at_error_;

  std::mutex mutex_;
  // Guarded by mutex_.
  std::shared_ptr<StreamInfer> self_;  // Until gRPC is done with it.
  grpc::ByteBuffer incoming_;          // What is being read, if is_reading_.
  bool is_reading_ = false;
  std::set<std::shared_ptr<Exchange>> running_;
  std::deque<Unwritten> answered_;  // The first is being written if is_writing_.
  size_t unread_bytes_ = 0;         // Of answered_.
  bool is_writing_ = false;
  bool is_beginning_ = false;   // A request that was read; requests are queued in their order.
  bool is_at_end_ = false;      // The client sends nothing more, or what is no request.
  grpc::Status status_at_end_;  // When all that came before it is answered.
  // Nothing more is answered. The stream ends so when the answers that there are are written.
  std::optional<grpc::Status> end_;
  bool is_finished_ = false;
};

}  // namespace torchdeploy::server
