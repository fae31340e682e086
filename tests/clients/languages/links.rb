# Arguments: framekeep.rb and vectors.json. Prints what the client makes of each vector.

require "json"
require File.expand_path(ARGV[0])

vectors = JSON.parse(File.read(ARGV[1], encoding: "UTF-8"))
signer = Framekeep::Signer.new(vectors["base"], vectors["key"])
unsigned = Framekeep::Signer.new(vectors["base"], nil)

def options(row)
  row.slice("original", "widths", "ratio", "crop", "max_width", "max_height").transform_keys(&:to_sym)
end

def refused?
  yield
  false
rescue ArgumentError
  true
end

step = ->(row) { Framekeep.step(row["name"], *row["values"], **row["fields"].transform_keys(&:to_sym)) }
url = ->(row) { signer.url(row["source"], *row["steps"]) }
srcset = ->(row) { signer.srcset(row["source"], *row["steps"], **options(row)) }
calls = { "url" => url, "step" => step, "srcset" => srcset }

puts JSON.generate(
  links: vectors["links"].map(&url),
  unsigned: vectors["links"].map { |row| unsigned.url(row["source"], *row["steps"]) },
  steps: vectors["steps"].map(&step),
  srcsets: vectors["srcsets"].map(&srcset),
  candidates: vectors["srcsets"].map do |row|
    signer.candidates(row["source"], *row["steps"], **options(row)).map(&:to_h)
  end,
  refused: vectors["refused"].map { |row| refused? { calls[row["call"]].call(row) } },
  bad_keys: vectors["bad_keys"].map { |key| refused? { Framekeep::Signer.new(vectors["base"], key) } },
  same_size_steps: Framekeep::SAME_SIZE_STEPS
)
