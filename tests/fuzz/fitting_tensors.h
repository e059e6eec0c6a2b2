// Inputs and outputs that a request may have, so that what comes after the checks is reached.
#pragma once

#include "open_inference_grpc.pb.h"
#include "tests/fuzz/message_mutator.h"

namespace torchdeploy::fuzz {

// Adds an input of any datatype and a small shape with as much contents as it takes: raw when the
// request has raw contents, else of any kind. `random` chooses.
void AddFittingInput(inference::ModelInferRequest& request, MessageMutator& random);

// Asks for what one of the inputs is echoed as, if there is one; in shared memory, sometimes.
void AddFittingOutput(inference::ModelInferRequest& request, MessageMutator& random);

}  // namespace torchdeploy::fuzz
