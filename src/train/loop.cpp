#include "train/loop.hpp"

#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <span>

#include "base/counted.hpp"
#include "base/files.hpp"
#include "base/random.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"

namespace ae::train {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

constexpr const char* kFormat = "aetools training state";
constexpr const char* kVersion = "1";

// What the models on the way may cost: a share of the time since training began, and so many seconds more, so that
// short trainings have them too.
constexpr double kPublishingShare = 0.05, kPublishingCredit = 1;
// How long a stop signal waits for one.
constexpr double kLastWordSeconds = 1;

data::NamedArray doubles(const std::vector<double>& values) {
  return data::NamedArray::of(data::Dtype::f64, {static_cast<std::int64_t>(values.size())}, values.data(),
                              values.size());
}

std::vector<double> doubles(const recipe::Arrays& arrays, const std::string& name, const std::string& file) {
  const auto found = arrays.find(name);
  if (found == arrays.end() || found->second.dtype != data::Dtype::f64) {
    throw InputError(file + ": " + ae::quoted(name) + " is missing; the file is damaged: start over with --force");
  }
  std::vector<double> values(found->second.bytes.size() / sizeof(double));
  if (!values.empty()) std::memcpy(values.data(), found->second.bytes.data(), values.size() * sizeof(double));
  return values;
}

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.5g", value);
  return text;
}

}  // namespace

std::string metrics_csv(const std::vector<std::string>& part_names, const std::vector<EpochRecord>& history) {
  std::string csv = "epoch,train_loss,validation_loss,seconds,learning_rate";
  for (const auto& name : part_names) csv += ",train_" + name;
  for (const auto& name : part_names) csv += ",validation_" + name;
  csv += '\n';
  for (std::size_t e = 0; e < history.size(); ++e) {
    const EpochRecord& record = history[e];
    csv += std::to_string(e + 1) + ',' + number_text(record.training.front()) + ',';
    if (!record.validation.empty()) csv += number_text(record.validation.front());
    csv += ',' + short_number(record.seconds) + ',' + number_text(record.learning_rate);
    for (std::size_t i = 0; i < part_names.size(); ++i) csv += ',' + number_text(record.training[i + 1]);
    for (std::size_t i = 0; i < part_names.size(); ++i) {
      csv += ',';
      if (!record.validation.empty()) csv += number_text(record.validation[i + 1]);
    }
    csv += '\n';
  }
  return csv;
}

std::int64_t best_epoch(const std::vector<EpochRecord>& history) {
  if (history.empty()) return -1;
  if (history.back().validation.empty()) return static_cast<std::int64_t>(history.size()) - 1;
  std::size_t best = 0;
  for (std::size_t e = 1; e < history.size(); ++e) {
    if (history[e].judged() < history[best].judged()) best = e;
  }
  return static_cast<std::int64_t>(best);
}

Loop::Loop(Objective& objective, const recipe::TrainingOptions& options, Outlets outlets, Reporter& reporter,
           Group& group)
    : objective_(objective),
      options_(options),
      outlets_(std::move(outlets)),
      reporter_(reporter),
      group_(group),
      sums_(1 + objective.part_names().size(), 0.0) {}

double Loop::elapsed() const { return seconds_before_ + seconds_since(started_); }

void Loop::run() {
  started_ = saved_ = Clock::now();
  take_over_state();
  while (epoch_ < options_.epochs && !stops_early()) {
    run_epoch();
    finish_epoch();
  }
  reporter_.progress_done();
  write_state();  // making the model may take long; whoever stops that keeps what was learned
  try {
    publish_best();
  } catch (const Interrupted& stop) {
    throw Interrupted(stop.signal, std::string("stopped by ") + signal_name(stop.signal) +
                                       " after the last epoch, while the model was made; everything is saved, "
                                       "continue with --resume");
  }
}

// All training samples, or as many drawn by their weights, in random order.
std::vector<std::int64_t> Loop::order_of_epoch() const {
  const auto seed = static_cast<std::uint64_t>(options_.seed), epoch = static_cast<std::uint64_t>(epoch_);
  const Random random(stream_key(seed, "order", epoch));
  const auto weights = objective_.sample_weights();
  if (weights.empty()) return permutation(objective_.training_samples(), random);
  auto order = systematic_sample(weights, Random(stream_key(seed, "draw", epoch)).uniform());
  shuffle(std::span(order), random);
  return order;
}

void Loop::run_epoch() {
  const auto seed = static_cast<std::uint64_t>(options_.seed);
  auto order = order_of_epoch();
  // Before the first epoch the weights know nothing to distrust a sample by.
  if (step_ == 0) {
    try {
      left_out_ = epoch_ > 0 ? objective_.distrusted() : std::vector<std::int64_t>();
    } catch (const Interrupted& interrupted) {
      stop(interrupted.signal);
    }
  }
  std::erase_if(order, [&](auto sample) { return std::binary_search(left_out_.begin(), left_out_.end(), sample); });
  const auto samples = static_cast<std::int64_t>(order.size());
  if (samples == 0)
    throw RunError("/training/trim leaves out all rows that have a weight; set it lower, or leave /data/weight out");
  std::int64_t steps = (samples + options_.batch_size - 1) / options_.batch_size;
  // A last batch too small for batch statistics joins the one before it.
  const std::int64_t rest = samples - (steps - 1) * options_.batch_size;
  if (rest < objective_.smallest_batch() && steps > 1) --steps;

  const double rate = learning_rate(epoch_);
  std::string status = "epoch " + std::to_string(epoch_ + 1) + "/" + std::to_string(options_.epochs);
  if (!history_.empty()) status += ", loss " + short_number(history_.back().judged());

  for (; step_ < steps;) {
    const std::int64_t begin = step_ * options_.batch_size;
    const std::int64_t end = step_ + 1 == steps ? samples : begin + options_.batch_size;
    const StepContext context{
        stream_key(seed, "step", static_cast<std::uint64_t>(epoch_), static_cast<std::uint64_t>(step_)),
        static_cast<double>(epoch_) + static_cast<double>(begin) / static_cast<double>(samples), rate};
    auto losses = objective_.step({order.begin() + begin, order.begin() + end}, context);
    const auto [signal, due] = agree(losses);
    if (!std::isfinite(losses.front())) diverged("the loss became " + number_text(losses.front()));
    for (std::size_t i = 0; i < sums_.size(); ++i) sums_[i] += losses[i] * static_cast<double>(end - begin);
    summed_ += end - begin;
    ++step_;
    reporter_.progress("steps", static_cast<std::uint64_t>(epoch_ * steps + step_),
                       static_cast<std::uint64_t>(options_.epochs * steps), status);
    if (signal != 0) stop(signal);
    if (due) save_state();
  }
  EpochRecord record;
  record.learning_rate = rate;
  for (const double sum : sums_) record.training.push_back(sum / static_cast<double>(summed_));
  history_.push_back(std::move(record));
}

double Loop::learning_rate(std::int64_t epoch) const {
  std::vector<double> judged;
  for (std::int64_t e = 0; e < epoch; ++e) judged.push_back(history_[static_cast<std::size_t>(e)].judged());
  return options_.learning_rate * options_.schedule->factor(epoch, options_.epochs, judged);
}

std::optional<std::int64_t> Loop::first_other_rate() const {
  for (std::int64_t e = 0; e < epoch_; ++e) {
    if (learning_rate(e) != history_[static_cast<std::size_t>(e)].learning_rate) return e;
  }
  return std::nullopt;
}

std::pair<int, bool> Loop::agree(std::vector<double>& losses) {
  constexpr std::array<int, 3> kStopSignals{SIGINT, SIGTERM, SIGHUP};
  const auto count = static_cast<std::ptrdiff_t>(losses.size());
  for (const int signal : kStopSignals) losses.push_back(stop_signal() == signal ? 1 : 0);
  losses.push_back(group_.leader() && due_by_time() ? 1 : 0);
  group_.sum(losses);
  std::pair<int, bool> agreed{0, losses.back() > 0};
  for (std::size_t i = 0; i < kStopSignals.size() && agreed.first == 0; ++i) {
    if (losses[static_cast<std::size_t>(count) + i] > 0) agreed.first = kStopSignals[i];
  }
  losses.erase(losses.begin() + count, losses.end());
  return agreed;
}

void Loop::finish_epoch() {
  EpochRecord& record = history_.back();
  if (objective_.has_validation()) {
    try {
      record.validation = objective_.validate();
    } catch (const Interrupted& interrupted) {
      history_.pop_back();  // continued, the epoch has no step left but still to be judged
      stop(interrupted.signal);
    }
    if (!std::isfinite(record.validation.front())) {
      history_.pop_back();
      diverged("the held-out loss is no longer a number");
    }
  } else if (!weights_are_finite()) {
    history_.pop_back();
    diverged("the weights are no longer numbers");
  }
  record.seconds = elapsed();
  reporter_.detail("epoch " + std::to_string(epoch_ + 1) + ": loss " + short_number(record.training.front()) +
                   (record.validation.empty() ? "" : ", held-out " + short_number(record.validation.front())));
  if (best_epoch(history_) == epoch_) {
    best_.clear();
    recipe::save_tensors("", objective_.weights(), best_);
  }
  ++epoch_;
  step_ = 0;
  summed_ = 0;
  std::fill(sums_.begin(), sums_.end(), 0.0);
  const bool last = epoch_ == options_.epochs || stops_early();
  if (!last && options_.checkpoint.epochs > 0 && epoch_ % options_.checkpoint.epochs == 0) save_state();
}

// The patience counts from the last epoch that was better than all before by the asked margin.
bool Loop::stops_early() const {
  if (options_.early_stopping.patience == 0 || history_.empty() || history_.back().validation.empty()) return false;
  double best = history_.front().judged();
  std::size_t since = 0;
  for (std::size_t e = 1; e < history_.size(); ++e) {
    // Of a loss below zero (a likelihood's) the margin lies on the other side.
    const double margin = options_.early_stopping.min_improvement;
    if (history_[e].judged() < best * (best >= 0 ? 1 - margin : 1 + margin)) {
      best = history_[e].judged();
      since = e;
    }
  }
  return static_cast<std::int64_t>(history_.size() - 1 - since) >= options_.early_stopping.patience;
}

bool Loop::due_by_time() const { return seconds_since(saved_) >= options_.checkpoint.seconds; }

bool Loop::weights_are_finite() const {
  for (const auto& [name, tensor] : objective_.weights()) {
    if (tensor.is_floating_point() && !torch::isfinite(tensor).all().item<bool>()) return false;
  }
  return true;
}

void Loop::publish_best() {
  group_.together([&] {
    if (group_.leader() && !best_.empty()) outlets_.publish(best_, history_, true);
  });
}

void Loop::publish_on_the_way(double seconds, TimeLimit::Signals signals) {
  if (!group_.leader() || best_.empty() || published_ == history_.size()) return;
  const auto began = Clock::now();
  bool made = false;
  try {
    const TimeLimit limit(seconds, signals);
    outlets_.publish(best_, history_, false);
    made = true;
  } catch (const Interrupted&) {  // out of time; or a stop signal, which the next step answers
  }
  const double took = seconds_since(began);
  publishing_ += took;
  next_cost_ = made ? took : 2 * took;
  if (made) published_ = history_.size();
}

data::Safetensors Loop::state() const {
  data::Safetensors state;
  state.metadata = {{"format", kFormat},
                    {"version", kVersion},
                    {"fingerprint", outlets_.fingerprint},
                    {"epochs", std::to_string(options_.epochs)}};
  recipe::save_tensors("weights.", objective_.weights(), state.arrays);
  for (const auto& [name, array] : best_) state.arrays["best." + name] = array;
  objective_.save_state(state.arrays);
  const std::vector<std::int64_t> counters{epoch_, step_, summed_};
  state.arrays["loop.counters"] = data::NamedArray::of(data::Dtype::i64, {3}, counters.data(), counters.size());
  state.arrays["loop.left_out"] = data::NamedArray::of(data::Dtype::i64, {static_cast<std::int64_t>(left_out_.size())},
                                                       left_out_.data(), left_out_.size());
  state.arrays["loop.sums"] = doubles(sums_);
  state.arrays["loop.elapsed"] = doubles({elapsed()});
  std::vector<double> flat;
  for (const auto& record : history_) {
    flat.insert(flat.end(), {record.learning_rate, record.seconds});
    flat.insert(flat.end(), record.training.begin(), record.training.end());
    flat.insert(flat.end(), record.validation.begin(), record.validation.end());
  }
  state.arrays["loop.history"] = doubles(flat);
  data::seal(state);
  return state;
}

void Loop::write_state() {
  group_.together([&] {
    if (!group_.leader()) return;
    write_file(outlets_.state_file, data::to_bytes(state()));
    outlets_.record(history_);
  });
}

void Loop::save_state() {
  if (!weights_are_finite()) diverged("the weights are no longer numbers");
  write_state();
  // With a costly score head a model takes longer than many epochs.
  const double affordable = kPublishingCredit + kPublishingShare * seconds_since(started_) - publishing_;
  group_.together([&] {
    if (affordable > next_cost_) publish_on_the_way(affordable, TimeLimit::Signals::stop);
  });
  saved_ = Clock::now();
}

void Loop::stop(int signal) {
  if (!weights_are_finite()) diverged("the weights are no longer numbers");
  write_state();
  group_.together([&] { publish_on_the_way(kLastWordSeconds, TimeLimit::Signals::wait); });
  reporter_.progress_done();
  throw Interrupted(signal, std::string("stopped by ") + signal_name(signal) + " in epoch " +
                                std::to_string(epoch_ + 1) + "; everything is saved, continue with --resume");
}

void Loop::take_over_state() {
  if (group_.size() == 1) return;
  std::string bytes = group_.leader() ? data::to_bytes(state()) : "";
  group_.broadcast(bytes, 0);
  if (!group_.leader()) restore(data::parse_safetensors(bytes, "the state that rank 0 sent"), outlets_.fingerprint);
}

void Loop::resume() { resume(data::read_safetensors(outlets_.state_file), outlets_.fingerprint); }

void Loop::resume(const data::Safetensors& state, const std::string& fingerprint) {
  restore(state, fingerprint);
  if (epoch_ > options_.epochs) {
    throw UsageError("/training/epochs: " + std::to_string(options_.epochs) + ", but " +
                     counted(epoch_, "epoch is", "epochs are") +
                     " trained already; ask for more than that, or start over with --force");
  }
}

std::int64_t Loop::planned_epochs(const data::Safetensors& state, std::int64_t otherwise) {
  const auto found = state.metadata.find("epochs");
  const auto planned = found == state.metadata.end() ? std::nullopt : parse_number(found->second);
  constexpr double kMost = 1e9;
  return planned && *planned >= 1 && *planned <= kMost ? static_cast<std::int64_t>(*planned) : otherwise;
}

void Loop::restore(const data::Safetensors& state, const std::string& fingerprint) {
  const auto text = [&](const std::string& key) {
    const auto found = state.metadata.find(key);
    return found == state.metadata.end() ? std::string() : found->second;
  };
  if (text("format") != kFormat || text("version") != kVersion) {
    throw InputError(outlets_.state_file + ": not a training state of this version (found format " +
                     ae::quoted(text("format")) + ", version " + ae::quoted(text("version")) +
                     "); start over with --force");
  }
  if (text("fingerprint") != fingerprint) {
    throw UsageError(
        outlets_.state_file +
        ": belongs to a run with another config or other data; resume with the same ones, or start over with --force");
  }
  const auto damaged = [&](const std::string& what) -> InputError {
    return InputError(outlets_.state_file + ": " + what + "; the file is damaged: start over with --force");
  };
  const auto counters = state.arrays.find("loop.counters");
  if (counters == state.arrays.end() || counters->second.dtype != data::Dtype::i64 ||
      counters->second.shape != std::vector<std::int64_t>{3}) {
    throw damaged("\"loop.counters\" is missing");
  }
  std::int64_t values[3];
  std::memcpy(values, counters->second.bytes.data(), sizeof values);
  const auto left_out = state.arrays.find("loop.left_out");
  if (left_out == state.arrays.end() || left_out->second.dtype != data::Dtype::i64) {
    throw damaged("\"loop.left_out\" is missing");
  }
  std::vector<std::int64_t> omitted(left_out->second.bytes.size() / sizeof(std::int64_t));
  if (!omitted.empty()) std::memcpy(omitted.data(), left_out->second.bytes.data(), left_out->second.bytes.size());
  const auto sums = doubles(state.arrays, "loop.sums", outlets_.state_file);
  const auto flat = doubles(state.arrays, "loop.history", outlets_.state_file);
  const auto before = doubles(state.arrays, "loop.elapsed", outlets_.state_file);
  const std::size_t losses = sums_.size();
  const std::size_t width = 2 + losses * (objective_.has_validation() ? 2 : 1);
  if (values[0] < 0 || values[1] < 0 || values[2] < 0 || !std::is_sorted(omitted.begin(), omitted.end()) ||
      static_cast<std::int64_t>(omitted.size()) >= objective_.training_samples() || sums.size() != losses ||
      before.size() != 1 || flat.size() != width * static_cast<std::size_t>(values[0])) {
    throw damaged("the counters contradict each other");
  }
  history_.clear();
  for (std::size_t at = 0; at < flat.size(); at += width) {
    EpochRecord record{flat[at], flat[at + 1], {}, {}};
    record.training.assign(flat.begin() + static_cast<std::ptrdiff_t>(at) + 2,
                           flat.begin() + static_cast<std::ptrdiff_t>(at + 2 + losses));
    record.validation.assign(flat.begin() + static_cast<std::ptrdiff_t>(at + 2 + losses),
                             flat.begin() + static_cast<std::ptrdiff_t>(at + width));
    history_.push_back(std::move(record));
  }
  recipe::restore_tensors("weights.", objective_.weights(), state.arrays, outlets_.state_file);
  objective_.restore_state(state.arrays);
  best_.clear();
  for (const auto& [name, array] : state.arrays) {
    if (name.starts_with("best.")) best_[name.substr(5)] = array;
  }
  epoch_ = values[0];
  step_ = values[1];
  summed_ = values[2];
  left_out_ = std::move(omitted);
  sums_ = sums;
  seconds_before_ = before.front();
}

void Loop::diverged(const std::string& what) {
  reporter_.progress_done();
  publish_best();
  group_.together([&] {
    if (group_.leader() && !best_.empty()) outlets_.record(history_);
  });
  const auto best = best_epoch(history_);
  throw RunError("training diverged: " + what + " in epoch " + std::to_string(epoch_ + 1) +
                 (best >= 0 ? "; the model keeps the weights of epoch " + std::to_string(best + 1)
                            : "; no epoch was finished, so there is no model") +
                 "; lower /training/learning_rate or set /training/clip_gradient");
}

}  // namespace ae::train
