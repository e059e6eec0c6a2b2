// The number of threads that torch uses inside one operation.
#pragma once

namespace torchdeploy {

// libgomp, which every interpreter and the host share, keeps that number for each host
// thread. During the lifetime of this object the calling thread has `count`; afterwards it
// has what the host gave it, and a count that a model set is forgotten.
class IntraOpThreads {
 public:
  // REQUIRES: count >= 1; destroyed on the same thread.
  explicit IntraOpThreads(int count);
  IntraOpThreads(const IntraOpThreads&) = delete;
  IntraOpThreads& operator=(const IntraOpThreads&) = delete;
  ~IntraOpThreads();

 private:
  const int count_;
  const int hosts_count_;
};

}  // namespace torchdeploy
