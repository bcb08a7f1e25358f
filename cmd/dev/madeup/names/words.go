package names

// form is how the artists of a genre call themselves.
type form uint8

const (
	band     form = iota // The Rusty Lanterns
	soloist              // Mirel Tovanne
	coined               // Vorasalo
	ensemble             // Tovanne Quartet
)

// Genre is a genre's words. first and last make bands' names, and last an ensemble's; adjectives, nouns and titles
// make the tracks' titles, where {a} is an adjective, {n} and {m} are nouns, {k} is a key and {i} a small number.
// Hyphens stand for blanks within a word.
type Genre struct {
	Name              string
	form              form
	first, last       string
	adjectives, nouns string
	titles            string // templates, separated by bars
}

// genres stand in a ring: neighbours share playlists.
var genres = [...]Genre{
	{
		"metal", band,
		"Grim Iron Hollow Ashen Obsidian Thorned Sulphur Cinder Wretched Basalt Blighted Molten",
		"Anvil Catacomb Behemoth-Choir Gargoyles Ossuary Furnace Warthogs Sepulchre Ravens Bulldozer Lindworm",
		"Eternal Unholy Crimson Shattered Cursed Burning Frozen Bleeding Endless Rotten",
		"Throne Abyss Serpent Plague Hammer Oath Pyre Skull Winter Leviathan Kingdom Dentist",
		"{a} {n}|{n} of the {m}|Beneath the {a} {n}|{n} Upon {n}|March of the {n}|I Am the {n}|Blood, {n} and {m}",
	},
	{
		"punk", band,
		"Angry Broken Nervous Sticky Cheap Illegal Soggy Rabid Unpaid Loud",
		"Parking-Tickets Toasters Landlords Spatulas Interns Pigeons Traffic-Cones Receipts Sirens Haircuts",
		"Stupid Plastic Boring Electric Busted Sweaty Fake Second-Hand Cranky Rented",
		"Boss Suburb Riot Television Bus Monday Basement Curfew Neighbour Supermarket Fence",
		"{a} {n}|No More {n}|My {n} Hates Me|{n}! {n}! {n}!|I Was a {a} {n}|Kick the {n}|Last {n} in {m} Town",
	},
	{
		"indie rock", band,
		"Paper Rusty Velveteen Hazel Crooked Marmalade Tidal Borrowed Sleepy Corduroy Ninth",
		"Lanterns Tigers-Club Bicycles Orchards Wallpaper Cassettes Holidays Postcards Greenhouse Foxes Radio-Hour",
		"Quiet Golden Lazy Distant Blue Awkward Late Tangled Young Ordinary",
		"Summer Kitchen Window Ocean Telephone Sweater Letter Weekend Roof Bicycle Streetlight",
		"{a} {n}|{n} in the {m}|We Were {a} Once|All My {a} {n}s|Leave the {n} On|{n}, Please|How to Lose a {n}",
	},
	{
		"folk", soloist, "", "",
		"Wild Old Weary Green Winding Silver Honest Faraway Humble Lonesome",
		"River Meadow Harvest Lantern Sparrow Mountain Ferry Mill Daughter Willow Crow Shepherd",
		"The {a} {n}|{n} and the {m}|Down by the {n}|Ballad of the {a} {n}|When the {n} Comes Home|Song for a {n}",
	},
	{
		"classical", ensemble, "",
		"Quartet Philharmonic Ensemble Consort Trio Sinfonietta Octet Chamber-Players",
		"Pastoral Tragic Nocturnal Solemn Playful Unfinished Stormy Winter",
		"Garden Moon Swan Cathedral Clock Lake Carnival Fountain Nightingale Horse",
		"Sonata No. {i} in {k}|Symphony No. {i} in {k}|String Quartet No. {i}, {a}|Prelude in {k}|The {n}: {i}. Adagio|" +
			"Waltz of the {a} {n}|Nocturne in {k}|Fugue in {k}|Fantasia on the {n} and the {m}|Concerto in {k}: Allegro",
	},
	{
		"ambient", coined, "", "",
		"Slow Weightless Pale Submerged Drifting Soft Infinite Faint",
		"Tundra Vapour Halo Aurora Silence Glacier Horizon Moss Satellite Lagoon Snowfall Breath",
		"{n}|{a} {n}|{n} (For {m})|{n} {i}|Under {a} {n}|Where the {n} Ends|Toward {n}",
	},
	{
		"techno", coined, "", "",
		"Binary Phased Kinetic Analog Acid Parallel Hydraulic Modular",
		"Circuit Pulse Warehouse Voltage Vector Turbine Filter Reactor Signal Grid Machine Strobe",
		"{a} {n}|{n} {i}0{i}|{n} ({a} Mix)|{n}/{m}|{n} Control|Into the {n}|{n} at 4 A.M.",
	},
	{
		"synth pop", band,
		"Neon Crystal Chrome Digital Candy Satin Laser Fax Plastic Pastel Polaroid",
		"Arcade Boulevard Flamingos Telephones Heartbeats Mannequins Parlour Skyline Robots-In-Love Dial-Tone",
		"Electric Midnight Neon Glass Tender Magnetic Plastic Perfect",
		"Heart Night City Dream Kiss Mirror Computer Dancer Moonlight Fever Radio Stranger",
		"{a} {n}|{n} to {m}|Dance Like a {n}|{a} Love|Call My {n}|Tonight, {n}|Girls and {n}s|{n} on the {m}",
	},
	{
		"tropical", soloist, "", "",
		"Sweet Sunny Salty Golden Barefoot Hot Coconut Lazy",
		"Playa Sol Mango Fiesta Hammock Corazon Carnaval Lluvia Guitarra Luna Papaya Bongo",
		"{n} y {m}|Mi {n}|{a} {n}|Baila, {n}|Otra {n}|{n} con {m}|Una Noche de {n}|Ay, {n}!",
	},
	{
		"hip hop", coined, "", "",
		"Heavy Fresh Midnight Double Gold Uptown Raw Smooth",
		"Block Crown Paper Corner Rhyme Hustle Chain Mic Sneaker Window Level Summer Cypher",
		"{a} {n}|{n} Talk|{n} on {m}|Ain't No {n}|{n} Freestyle|{n} Pt. {i}|From the {n} to the {m}|More {n}",
	},
	{
		"soul", soloist, "", "",
		"Sweet True Honey Tender Lonely Real Steady Sugar",
		"Love Heart Baby Rain Morning Promise Touch Sunday Fire Devotion Shoulder Kitchen",
		"{a} {n}|Give Me {n}|{n} Never Lies|Your {a} {n}|Ain't That {n}|Hold On, {n}|{n} After {m}|Too Much {n}",
	},
	{
		"jazz", ensemble, "",
		"Trio Quintet Six Big-Band Orchestra Five Duo Nonet",
		"Blue Smoky Round Crooked Lazy Velvet Late Mellow",
		"Corner Avenue Saxophone Martini Staircase Taxi Blossom Monday Umbrella Lullaby Pocket Cat",
		"{a} {n}|{n} Blues|Waltz for {n}|Take the {n}|{n} at {i}|{a} in {k}|One for the {n}|The {n} and I",
	},
}

// Syllables of invented names.
const (
	starts = "Mi Ta Vo Ze Lu Ka Ro Ny Sa Be Dri Jo Fe Ori Ha Li Qua Pe Wil Ya Cor El Ma Gri"
	middle = "ra ve lo ni ma xi dre to sha ku bel li ro za"
	ends   = "n ne l s vox ra th k la ro mir da x ta ven lin"
)

// Keys of classical works.
const keys = "C-major D-minor E-flat-major F-sharp-minor G-minor A-major B-flat-minor D-major"

// First names of listeners.
const listeners = "ada bo carmen dev elif femi greta hugo ines jamal kaito lena mateo nadia oskar priya quinn rosa sven " +
	"tomoko uma viktor wanda ximena yusuf zoe alma bruno chloe diego emma farid gita hana igor jonas keiko liam " +
	"mira nils olga paulo ravi sofia taro ulla vera wim xavi yara zeno anouk britta cleo dina emil freja gus " +
	"hedda ivo juno kai luz milo noor otis pia rafa signe thiago ursula vito willa yoko ziggy aino birk cesar dora"
