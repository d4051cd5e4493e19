#include "replay/store_manifest.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/arrays/array_file.hpp"
#include "value/bounded_json.hpp"

namespace ae::replay {
namespace {

using Ordered = nlohmann::ordered_json;
constexpr const char* kFormat = "aetools transitions";
constexpr std::int64_t kMostLatents = 1 << 16;

// Reads what it is told to, or says where it is not.
class Entry {
 public:
  Entry(const Ordered& json, std::string name, std::string pointer)
      : json_(json), name_(std::move(name)), pointer_(std::move(pointer)) {}

  Entry at(const std::string& key) const {
    const auto pointer = pointer_ + "/" + key;
    if (!json_.is_object() || !json_.contains(key)) fail(pointer, "is missing");
    return {json_[key], name_, pointer};
  }
  std::int64_t whole(std::int64_t low, std::int64_t high) const {
    if (!json_.is_number_integer() || json_.get<std::int64_t>() < low || json_.get<std::int64_t>() > high)
      fail(pointer_, "expected a whole number from " + std::to_string(low) + " to " + std::to_string(high));
    return json_.get<std::int64_t>();
  }
  double number() const {
    if (!json_.is_number() || !std::isfinite(json_.get<double>())) fail(pointer_, "expected a finite number");
    return json_.get<double>();
  }
  bool truth() const {
    if (!json_.is_boolean()) fail(pointer_, "expected true or false");
    return json_.get<bool>();
  }
  std::string text() const {
    if (!json_.is_string()) fail(pointer_, "expected a text");
    return json_.get<std::string>();
  }
  std::vector<Entry> list(std::size_t most) const {
    if (!json_.is_array() || json_.size() > most) fail(pointer_, "expected a list of at most " + std::to_string(most));
    std::vector<Entry> entries;
    for (std::size_t i = 0; i < json_.size(); ++i)
      entries.emplace_back(json_[i], name_, pointer_ + "/" + std::to_string(i));
    return entries;
  }
  std::string file() const {
    const auto name = text();
    if (name.empty() || name.find('/') != std::string::npos || name.front() == '.')
      fail("expected the name of a file in the same folder");
    return name;
  }
  std::vector<double> numbers() const {
    std::vector<double> values;
    for (const auto& entry : list(data::kMostRecordElements)) values.push_back(entry.number());
    return values;
  }
  [[noreturn]] void fail(const std::string& pointer, const std::string& what) const {
    throw InputError(name_ + ": " + pointer + ": " + what + "; pack the transitions again");
  }
  [[noreturn]] void fail(const std::string& what) const { fail(pointer_, what); }

 private:
  const Ordered& json_;
  std::string name_, pointer_;
};

Ordered errors_json(const StoreErrors& errors) {
  return {{"rms", errors.rms},
          {"mean", errors.mean},
          {"covariance", errors.covariance.empty() ? Ordered(nullptr) : Ordered(errors.covariance)},
          {"quantiles",
           {{"0.5", errors.quantiles[0]},
            {"0.9", errors.quantiles[1]},
            {"0.99", errors.quantiles[2]},
            {"1", errors.quantiles[3]}}}};
}

StoreErrors read_errors(const Entry& entry) {
  StoreErrors errors;
  errors.rms = entry.at("rms").number();
  errors.mean = entry.at("mean").numbers();
  for (const char* level : {"0.5", "0.9", "0.99", "1"})
    errors.quantiles.push_back(entry.at("quantiles").at(level).number());
  return errors;
}

}  // namespace

std::int64_t StoreManifest::width() const { return data::elements_of_shape(observation_shape); }

std::int64_t StoreManifest::bits() const {
  std::int64_t bits = 0;
  for (const auto& latent : latents) bits += latent.bits;
  return bits;
}

std::int64_t StoreManifest::transitions() const {
  std::int64_t all = 0;
  for (const auto& part : parts) all += part.transitions;
  return all;
}

std::int64_t StoreManifest::code_bytes() const {
  std::int64_t all = 0;
  for (const auto& part : parts) all += (part.observations * bits() + 7) / 8;
  return all;
}

std::int64_t StoreManifest::original_bytes() const {
  std::int64_t all = 0;
  for (const auto& part : parts) all += part.original_bytes;
  return all;
}

std::int64_t StoreManifest::rows() const {
  std::int64_t all = 0;
  for (const auto& part : parts) all += part.observations;
  return all;
}

double StoreManifest::ratio() const {
  return static_cast<double>(original_bytes()) / static_cast<double>(std::max<std::int64_t>(code_bytes(), 1));
}

double StoreManifest::ratio_once() const {
  double bytes = 0;
  for (const auto& part : parts) bytes += static_cast<double>(part.once_bytes);
  return bytes / static_cast<double>(std::max<std::int64_t>(code_bytes(), 1));
}

double StoreManifest::rms_error() const {
  double squares = 0, rows = 0;
  for (const auto& part : parts) {
    squares += part.errors.rms * part.errors.rms * static_cast<double>(part.observations);
    rows += static_cast<double>(part.observations);
  }
  return rows > 0 ? std::sqrt(squares / rows) : 0;
}

std::string manifest_json(const StoreManifest& m) {
  std::int64_t file_bytes = 0;
  Ordered latents = Ordered::array(), parts = Ordered::array();
  for (const auto& latent : m.latents)
    latents.push_back({{"bits", latent.bits}, {"low", latent.low}, {"high", latent.high}});
  for (const auto& part : m.parts) {
    file_bytes += part.bytes;
    parts.push_back({{"file", part.file},
                     {"transitions", part.transitions},
                     {"observations", part.observations},
                     {"bytes", part.bytes},
                     {"original_bytes", part.original_bytes},
                     {"original_bytes_once", part.once_bytes},
                     {"clipped", part.clipped},
                     {"error", errors_json(part.errors)}});
  }
  const Ordered json = {
      {"format", kFormat},
      {"version", 1},
      {"made_by", m.made_by},
      {"model", m.model},
      {"model_sha256", m.model_sha256},
      {"observation_shape", m.observation_shape},
      {"actions", m.actions},
      {"action_width", m.action_width},
      {"rewards", m.rewards},
      {"latents", latents},
      {"bits_per_observation", m.bits()},
      {"transitions", m.transitions()},
      {"bytes", {{"original_observations", m.original_bytes()}, {"codes", m.code_bytes()}, {"all_parts", file_bytes}}},
      {"ratio", m.ratio()},
      {"ratio_once", m.ratio_once()},
      {"rms_error", m.rms_error()},
      {"parts", parts}};
  return json.dump(2, ' ', false, Ordered::error_handler_t::replace) + "\n";
}

StoreManifest parse_manifest(const std::string& text, const std::string& name) {
  const auto json = value::parse_bounded_json<Ordered>(text, name);
  if (json.is_discarded()) throw InputError(name + ": is no JSON; pack the transitions again");
  const Entry root(json, name, "");
  if (root.at("format").text() != kFormat) root.at("format").fail("expected \"" + std::string(kFormat) + "\"");
  root.at("version").whole(1, 1);
  StoreManifest m;
  m.made_by = root.at("made_by").text();
  m.model = root.at("model").file();
  m.model_sha256 = root.at("model_sha256").text();
  for (const auto& length : root.at("observation_shape").list(32))
    m.observation_shape.push_back(length.whole(1, data::kMostRecordElements));
  if (m.width() < 1 || m.width() > data::kMostRecordElements) root.at("observation_shape").fail("is too large");
  m.actions = root.at("actions").truth();
  m.action_width = root.at("action_width").whole(1, data::kMostRecordElements);
  m.rewards = root.at("rewards").truth();
  for (const auto& latent : root.at("latents").list(kMostLatents)) {
    m.latents.push_back({latent.at("bits").whole(1, 16), latent.at("low").number(), latent.at("high").number()});
    if (m.latents.back().low > m.latents.back().high) latent.fail("low is above high");
  }
  if (m.latents.empty()) root.at("latents").fail("expected at least one");
  std::int64_t transitions = 0;
  for (const auto& entry : root.at("parts").list(kMostParts)) {
    StorePart part;
    part.file = entry.at("file").file();
    part.transitions = entry.at("transitions").whole(1, kMostTransitions - transitions);
    transitions += part.transitions;
    if (data::elements_of_shape(std::array{part.transitions, m.action_width}) < 0)
      entry.at("transitions").fail("are too many for actions of that width");
    part.observations = entry.at("observations").whole(part.transitions, 2 * part.transitions);
    constexpr std::int64_t kMostBytes = kMostStoreBytes / kMostParts;
    part.bytes = entry.at("bytes").whole(0, kMostBytes);
    part.original_bytes = entry.at("original_bytes").whole(0, kMostBytes);
    part.once_bytes = entry.at("original_bytes_once").whole(0, kMostBytes);
    part.clipped = entry.at("clipped").whole(0, kMostBytes);
    part.errors = read_errors(entry.at("error"));
    const auto& covariance = entry.at("error").at("covariance");
    if (part.errors.mean.size() <= 64 && part.errors.mean.size() == static_cast<std::size_t>(m.width()))
      for (const auto& row : covariance.list(64)) part.errors.covariance.push_back(row.numbers());
    m.parts.push_back(std::move(part));
  }
  if (m.parts.empty()) root.at("parts").fail("expected at least one");
  return m;
}

}  // namespace ae::replay
