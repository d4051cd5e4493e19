#include "apply/streams.hpp"

#include "base/error.hpp"

namespace ae::apply {

std::unique_ptr<recipe::SampleStream> open_stream(const recipe::Checkpoint& checkpoint,
                                                  const recipe::StreamOptions& options, Reporter& reporter) {
  auto stream = checkpoint.kind().open(options, reporter);
  if (stream == nullptr) {
    throw UsageError(checkpoint.name() + ": was trained on " + std::string(checkpoint.kind().domain().noun()) +
                     " and cannot read tables; train a model on a table");
  }
  if (options.reading.any() && !stream->heeds_reading()) {
    throw UsageError(checkpoint.name() + ": was trained on " + std::string(checkpoint.kind().domain().noun()) +
                     "; --keep, --label, --missing and --bad-rows are for tables");
  }
  return stream;
}

const score::SampleHead& sample_head(const recipe::Checkpoint& checkpoint) {
  const auto* head = checkpoint.head().for_samples();
  if (head == nullptr) {
    throw UsageError(checkpoint.name() + ": its score head answers whole images; it cannot score single samples");
  }
  return *head;
}

void check_network(const recipe::Checkpoint& checkpoint, const std::string& program, const std::string& what) {
  if (checkpoint.autoencoder().has_network()) return;
  throw UsageError(checkpoint.name() + ": holds no network (/model/type \"none\"), by which " + program + " would " +
                   what + "; train a model with one, for example --set /model/type=dense");
}

}  // namespace ae::apply
