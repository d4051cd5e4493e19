#include "train/process_group.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "base/local_sum.hpp"
#include "base/text.hpp"

#ifdef USE_C10D_GLOO
#include <dlfcn.h>
#include <netdb.h>
#include <sys/socket.h>
#include <torch/types.h>
#include <unistd.h>

#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#endif

namespace ae::train {
namespace {

// LibTorch's from 2.4 on asks for libuv, which Debian's is built without; earlier options do not know of it.
template <typename Options>
void do_without_libuv(Options& options) {
  if constexpr (requires { options.useLibUV; }) options.useLibUV = false;
}

constexpr int kSignalled = 128;  // exit code of a program ended by a signal, less the signal

// How a member's work ended.
struct Outcome {
  std::exception_ptr error;
  int code = 0;  // exit code
  std::string text;
};

Outcome outcome_of(const std::function<void()>& work) {
  Outcome outcome;
  try {
    work();
    return outcome;
  } catch (const Error& error) {
    outcome.code = static_cast<int>(error.code());
    for (const auto& line : error.lines()) outcome.text += (outcome.text.empty() ? "" : "\n") + line;
  } catch (const Interrupted& interrupted) {
    outcome.code = kSignalled + interrupted.signal;
    outcome.text = interrupted.what();
  } catch (const std::exception& error) {
    outcome.code = static_cast<int>(ExitCode::failed);
    outcome.text = error.what();
  }
  outcome.error = std::current_exception();
  return outcome;
}

[[noreturn]] void fail_like(int rank, int code, const std::string& text) {
  const std::string line = "rank " + std::to_string(rank) + ": " + text;
  if (code > kSignalled) throw Interrupted(code - kSignalled, line);
  throw Error(static_cast<ExitCode>(code), line);
}

// A thread that tells the others now and then that this member is busy, until all are done.
class Busy {
 public:
  explicit Busy(Group& group) : group_(group), codes_(static_cast<std::size_t>(group.size())) {
    thread_ = std::thread([this] { tell(); });
  }
  ~Busy() { done(0); }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

  // Exit codes of all, when all are done.
  const std::vector<double>& done(int code) {
    if (!thread_.joinable()) return codes_;
    {
      const std::lock_guard lock(guard_);
      done_ = true;
      code_ = code;
    }
    changed_.notify_one();
    thread_.join();
    return codes_;
  }
  const std::exception_ptr& failure() const { return failure_; }

 private:
  void tell() {
    std::chrono::milliseconds pause{1};
    constexpr std::chrono::milliseconds kLongestPause{200};
    std::vector<double> state(codes_.size() + 1);  // how many are busy, and their exit codes
    try {
      do {
        std::fill(state.begin(), state.end(), 0.0);
        {
          std::unique_lock lock(guard_);
          changed_.wait_for(lock, pause, [&] { return done_; });
          (done_ ? state[1 + static_cast<std::size_t>(group_.world().rank)] : state[0]) = done_ ? code_ : 1;
        }
        pause = std::min(2 * pause, kLongestPause);
        group_.sum(state);
      } while (state[0] > 0);
      codes_.assign(state.begin() + 1, state.end());
    } catch (...) {
      failure_ = std::current_exception();
    }
  }

  Group& group_;
  std::vector<double> codes_;
  std::exception_ptr failure_;
  std::mutex guard_;
  std::condition_variable changed_;
  bool done_ = false;
  int code_ = 0;
  std::thread thread_;
};

#ifdef USE_C10D_GLOO

using std::chrono::milliseconds;

// LibTorch's messages without what is for its developers.
std::string first_line(const std::exception& error) {
  const auto* own = dynamic_cast<const c10::Error*>(&error);
  std::string text = own != nullptr ? own->what_without_backtrace() : error.what();
  text.resize(std::min(text.size(), text.find('\n')));
  if (text.starts_with("[./") || text.starts_with("[/")) text.erase(0, text.find("] ") + 2);  // place in the source
  while (text.ends_with('.')) text.pop_back();
  return text;
}

std::string seconds_text(milliseconds time) { return number_text(static_cast<double>(time.count()) / 1000) + " s"; }

// LibTorch logs what it also throws. Where its log is glog, this is the level of --minloglevel.
void quieten() {
  constexpr int kFatal = 3;
  if (void* level = dlsym(RTLD_DEFAULT, "_ZN3fLI17FLAGS_minloglevelE")) *static_cast<int*>(level) = kFatal;
}

// The address by which this machine reaches rank 0, and so the one by which the others reach it.
std::string own_address(const World& world) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_DGRAM;  // connecting it sends nothing
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(world.address.c_str(), std::to_string(world.port).c_str(), &hints, &found)) {
    throw RunError("rank " + std::to_string(world.rank) + ": cannot resolve MASTER_ADDR " + ae::quoted(world.address) +
                   ": " + gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, freeaddrinfo);
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    const int descriptor = ::socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
    if (descriptor < 0) continue;
    sockaddr_storage own{};
    socklen_t length = sizeof own;
    char text[NI_MAXHOST];
    const bool told =
        ::connect(descriptor, at->ai_addr, at->ai_addrlen) == 0 &&
        ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&own), &length) == 0 &&
        ::getnameinfo(reinterpret_cast<sockaddr*>(&own), length, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0;
    ::close(descriptor);
    if (told) return text;
  }
  throw RunError("rank " + std::to_string(world.rank) + ": no network leads to MASTER_ADDR " +
                 ae::quoted(world.address));
}

class Gloo final : public c10d::ProcessGroupGloo {
 public:
  using ProcessGroupGloo::ProcessGroupGloo;
  // So that those who wait for us learn at once that no more will come.
  void hang_up() {
    for (const auto& context : contexts_) context->closeConnections();
  }
};

// Who has noticed that somebody is lost, kept with rank 0. Whoever has not is lost.
struct RollCall {
  c10::intrusive_ptr<c10d::Store> store;
  World world;
  std::mutex guard;
  std::condition_variable changed;
  std::vector<int> absent;
  bool over = false;

  static std::string key(int rank) { return "noticed/" + std::to_string(rank); }
  void announce() {
    try {
      store->set(key(world.rank), std::vector<std::uint8_t>{1});
    } catch (const std::exception&) {
      finish({0});
    }
  }
  void listen(milliseconds time) {
    std::vector<int> waited_for;
    for (int rank = 0; rank < world.size; ++rank) {
      if (rank != world.rank) waited_for.push_back(rank);
    }
    const auto end = std::chrono::steady_clock::now() + time;
    try {
      do {
        std::erase_if(waited_for, [&](int rank) { return store->check({key(rank)}); });
        std::this_thread::sleep_for(milliseconds(50));
      } while (!waited_for.empty() && std::chrono::steady_clock::now() < end);
      finish(waited_for);
    } catch (const std::exception&) {
      finish({0});
    }
  }
  void finish(std::vector<int> who) {
    const std::lock_guard lock(guard);
    if (!over) absent = std::move(who);
    over = true;
    changed.notify_all();
  }
};

// Sums that are begun in the same order by all, and ended in that order whoever waits first.
class LocalSums {
 public:
  explicit LocalSums(std::unique_ptr<LocalSum> sum) : sum_(std::move(sum)) {}
  std::uint64_t begin(std::span<float> numbers) {
    const std::lock_guard lock(guard_);
    begun_.push_back(numbers);
    return done_ + begun_.size();
  }
  void end(std::uint64_t number) {
    const std::lock_guard lock(guard_);
    for (; done_ < number; ++done_) {
      sum_->add_up(begun_.front());
      begun_.pop_front();
    }
  }
  void sum(std::span<double> numbers) {
    const std::lock_guard lock(guard_);
    sum_->add_up(numbers);
  }
  void give_up() { sum_->give_up(); }

 private:
  std::unique_ptr<LocalSum> sum_;
  std::mutex guard_;
  std::deque<std::span<float>> begun_;
  std::uint64_t done_ = 0;
};

class GlooGroup final : public Group {
 public:
  GlooGroup(const World& world, milliseconds timeout) : Group(world), timeout_(timeout) {
    quieten();
    const std::string place = ae::quoted(world.address) + " port " + std::to_string(world.port);
    const std::string rank = "rank " + std::to_string(world.rank);
    const char* interface = std::getenv("GLOO_SOCKET_IFNAME");  // as in PyTorch
    const bool named = interface != nullptr && *interface != '\0';
    const std::string own = named ? interface : own_address(world);
    const std::string advice = "; check that all " + std::to_string(world.size) +
                               " ranks run, that MASTER_ADDR and MASTER_PORT are the same for all, and that the port "
                               "is free";
    try {
      c10d::TCPStoreOptions options;
      options.port = static_cast<std::uint16_t>(world.port);
      options.isServer = world.leader();
      options.waitWorkers = false;
      options.timeout = timeout;
      do_without_libuv(options);
      store_ = c10::make_intrusive<c10d::TCPStore>(world.address, options);
    } catch (const std::exception& error) {
      throw RunError(rank + (world.leader() ? ": cannot listen at " : ": found no rank 0 at ") + place + " (" +
                     first_line(error) + ")" + advice);
    }
    await_all(rank, advice);
    if (world.local_size == world.size) share_memory();
    try {
      auto options = Gloo::Options::create(timeout);
      options->devices.push_back(named ? Gloo::createDeviceForInterface(own) : Gloo::createDeviceForHostname(own));
      options->threads = 2;
      gloo_ = c10::make_intrusive<Gloo>(store_, world.rank, world.size, options);
    } catch (const std::exception& error) {
      throw RunError(rank + ": cannot connect to the other ranks from " + ae::quoted(own) + " (" + first_line(error) +
                     "); check that MASTER_ADDR is an address that all machines know rank 0 by, or name the network "
                     "interface in GLOO_SOCKET_IFNAME");
    }
  }
  ~GlooGroup() override {
    if (!lost_) {
      leave();
      return;
    }
    // Its threads may wait for the lost one as long as the timeout says; the program ends now.
    gloo_.release();
    store_.release();
  }

  std::string_view medium() const override { return local_ ? "shared memory" : "TCP"; }
  std::unique_ptr<Pending> begin_sum(std::span<float> numbers) override {
    struct Sum final : Pending {
      GlooGroup& group;
      std::uint64_t number;
      Sum(GlooGroup& in, std::uint64_t of) : group(in), number(of) {}
      void wait() override {
        group.attempt([&] { group.local_->end(number); });
      }
    };
    if (local_) return std::make_unique<Sum>(*this, local_->begin(numbers));
    return begin(numbers, at::kFloat);
  }
  void sum(std::span<double> numbers) override {
    if (numbers.empty()) return;
    if (local_) return attempt([&] { local_->sum(numbers); });
    begin(numbers, at::kDouble)->wait();
  }
  void broadcast(std::string& bytes, int from) override {
    const bool sends = world().rank == from;
    double length = sends ? static_cast<double>(bytes.size()) : 0;
    sum({&length, 1});
    bytes.resize(static_cast<std::size_t>(length));
    if (bytes.empty()) return;
    std::vector<at::Tensor> tensors{
        torch::from_blob(bytes.data(), {static_cast<std::int64_t>(bytes.size())}, at::kByte)};
    c10d::BroadcastOptions options;
    options.rootRank = from;
    attempt([&] { gloo_->broadcast(tensors, options)->wait(); });
  }

 private:
  template <typename Call>
  void attempt(Call&& call) {
    try {
      call();
    } catch (const std::exception& error) {
      lost(first_line(error));
    }
  }

  template <typename T>
  std::unique_ptr<Pending> begin(std::span<T> numbers, at::ScalarType type) {
    struct Sum final : Pending {
      GlooGroup& group;
      std::vector<at::Tensor> tensors;
      decltype(gloo_->allreduce(tensors)) work;
      Sum(GlooGroup& in, const at::Tensor& tensor) : group(in), tensors{tensor} {
        group.attempt([&] { work = group.gloo_->allreduce(tensors); });
      }
      void wait() override {
        group.attempt([&] { work->wait(); });
      }
    };
    return std::make_unique<Sum>(*this,
                                 torch::from_blob(numbers.data(), {static_cast<std::int64_t>(numbers.size())}, type));
  }

  void await_all(const std::string& rank, const std::string& advice) {
    const auto key = [](int of) { return "here/" + std::to_string(of); };
    std::vector<std::string> all, absent;
    for (int of = 0; of < size(); ++of) all.push_back(key(of));
    std::string cause;
    try {
      store_->set(key(world().rank), std::vector<std::uint8_t>{1});
      store_->wait(all, timeout_);
      return;
    } catch (const std::exception& error) {
      cause = first_line(error);
    }
    try {
      for (int of = 0; of < size(); ++of) {
        if (!store_->check({key(of)})) absent.push_back(std::to_string(of));
      }
    } catch (const std::exception&) {
      absent = {"0"};
    }
    throw RunError(rank + ": waited " + seconds_text(timeout_) + " in vain for rank" +
                   (absent.size() == 1 ? " " : "s ") + ae::join(absent) + " (" + cause + ")" + advice);
  }

  // Where all run on this machine and can share memory, sums are made there: much faster than over TCP, which takes the
  // processors from the networks.
  void share_memory() {
    const auto key = [](int of) { return "shares/" + std::to_string(of); };
    constexpr std::uint8_t kYes = 1;
    attempt([&] {
      std::string address;
      if (!world().leader()) {
        const auto bytes = store_->get("memory");
        address.assign(bytes.begin(), bytes.end());
      }
      std::unique_ptr<LocalSum> sum;
      try {
        sum = world().leader() ? LocalSum::make(size(), timeout_)
                               : LocalSum::find(address, world().rank, size(), timeout_);
      } catch (const RunError&) {
        // Then it goes over TCP.
      }
      if (world().leader()) {
        address = sum ? sum->address() : "none";
        store_->set("memory", std::vector<std::uint8_t>(address.begin(), address.end()));
      }
      store_->set(key(world().rank), std::vector<std::uint8_t>{sum ? kYes : std::uint8_t{0}});
      bool all = true;
      for (int of = 0; of < size(); ++of) all = store_->get(key(of)).front() == kYes && all;
      if (all) local_ = std::make_unique<LocalSums>(std::move(sum));
    });
  }

  // Whoever hangs up before the others have all that it sent, is lost to them.
  void leave() {
    try {
      const milliseconds pause(2), enough(2000);
      store_->add("left", 1);
      for (milliseconds time(0); store_->add("left", 0) < size() && time < enough; time += pause) {
        std::this_thread::sleep_for(pause);
      }
      if (world().leader()) std::this_thread::sleep_for(10 * pause);  // the others still ask
    } catch (const std::exception&) {
      // The store went with rank 0, which was the last to need us.
    }
  }

  [[noreturn]] void lost(const std::string& cause) {
    constexpr milliseconds kRollCall{3000};
    const auto time = std::min(kRollCall, timeout_);
    lost_ = true;
    if (local_) local_->give_up();
    const auto call = std::make_shared<RollCall>();
    call->store = store_;
    call->world = world();
    // In a thread of its own: rank 0 may be the one that does not answer.
    std::thread([call, time] {
      call->announce();
      call->listen(time);
    }).detach();
    if (gloo_) gloo_->hang_up();
    std::vector<int> absent{0};
    {
      std::unique_lock lock(call->guard);
      if (call->changed.wait_for(lock, time + milliseconds(500), [&] { return call->over; })) absent = call->absent;
    }
    if (world().leader()) std::this_thread::sleep_for(milliseconds(500));  // the others still ask
    std::vector<std::string> names;
    for (const int rank : absent) names.push_back(std::to_string(rank));
    const std::string who = names.empty()       ? "the connection to another rank"
                            : names.size() == 1 ? "rank " + names.front()
                                                : "ranks " + ae::join(names);
    throw RunError("rank " + std::to_string(world().rank) + " lost " + who + " (" + cause +
                   "); what was saved last is intact, continue with --resume");
  }

  milliseconds timeout_;
  c10::intrusive_ptr<c10d::Store> store_;
  c10::intrusive_ptr<Gloo> gloo_;
  std::unique_ptr<LocalSums> local_;  // when all run on this machine
  std::atomic<bool> lost_{false};
};

#endif

}  // namespace

std::unique_ptr<Group> Group::join(const World& world, [[maybe_unused]] std::chrono::milliseconds timeout) {
  if (world.size == 1) return std::make_unique<Group>();
  const std::string started = world.started();
#ifdef USE_C10D_GLOO
  if (world.address.empty()) {
    throw UsageError(started + ", but MASTER_ADDR is not set; set it to the host name of rank 0, for all");
  }
  return std::make_unique<GlooGroup>(world, timeout);
#else
  throw UsageError(started +
                   ", but this build cannot train on several: it was made without Gloo; install libgloo-dev and build "
                   "again, or start one process");
#endif
}

Group& Group::alone() {
  static Group group;
  return group;
}

void Group::together(const std::function<void()>& work) {
  if (size() == 1) return work();
  Busy busy(*this);
  const Outcome own = outcome_of(work);
  const auto& codes = busy.done(own.code);
  const auto failed = std::find_if(codes.begin(), codes.end(), [](double code) { return code != 0; });
  if (busy.failure()) {
    if (own.error) std::rethrow_exception(own.error);
    std::rethrow_exception(busy.failure());
  }
  if (failed == codes.end()) return;
  const auto rank = static_cast<int>(failed - codes.begin());
  std::string text = world().rank == rank ? own.text : "";
  broadcast(text, rank);
  if (own.error) std::rethrow_exception(own.error);
  fail_like(rank, static_cast<int>(*failed), text);
}

}  // namespace ae::train
