# Arguments: framekeep.rb and vectors.json. Prints what the client makes of each vector.

require "json"
require File.expand_path(ARGV[0])

vectors = JSON.parse(File.read(ARGV[1], encoding: "UTF-8"))
signer = Framekeep::Signer.new(vectors["base"], vectors["key"])
unsigned = Framekeep::Signer.new(vectors["base"], nil)

def options(row)
  names = %w[original widths ratio crop max_width max_height formats sizes]
  art = row["art"]&.map { |media, ratio, sizes| { media: media, ratio: ratio, sizes: sizes } }
  { **row.slice(*names).transform_keys(&:to_sym), art: art }.compact
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
picture = ->(row) { signer.picture(row["source"], *row["steps"], **options(row)) }
rule = ->(row) { signer.rule(row["source"], *row["steps"]) }
choose = lambda do |row|
  Framekeep.choose(signer.rule("media:a.jpg", *row["steps"]), *row["values"])
end
calls = {
  "url" => url, "step" => step, "srcset" => srcset, "picture" => picture, "rule" => rule, "choose" => choose
}
choose_all = ->(link, row) { row["choices"].map { |one| Framekeep.choose(link, *one["values"]) } }

puts JSON.generate(
  links: vectors["links"].map(&url),
  unsigned: vectors["links"].map { |row| unsigned.url(row["source"], *row["steps"]) },
  steps: vectors["steps"].map(&step),
  srcsets: vectors["srcsets"].map(&srcset),
  candidates: vectors["srcsets"].map do |row|
    signer.candidates(row["source"], *row["steps"], **options(row)).map(&:to_h)
  end,
  width_grids: vectors["srcsets"].map { |row| Framekeep.width_grid(**options(row).except(:crop)) },
  pictures: vectors["pictures"].map(&picture).map { |one| { **one.to_h, sources: one.sources.map(&:to_h) } },
  rules: vectors["rules"].map(&rule),
  choices: vectors["rules"].map { |row| choose_all.call(row["rule"], row) },
  chosen_again: vectors["rules"].map { |row| choose_all.call(row["choices"][0]["url"], row) },
  default_widths: Framekeep::DEFAULT_WIDTHS,
  refused: vectors["refused"].map { |row| refused? { calls[row["call"]].call(row) } },
  bad_keys: vectors["bad_keys"].map { |key| refused? { Framekeep::Signer.new(vectors["base"], key) } },
  same_size_steps: Framekeep::SAME_SIZE_STEPS
)
