-- The country, and the name and kind of the prefix, of the party that is not the customer. Calling codes of all countries come with the
-- release; `callweave prefixes load` adds prefixes of one's own, of which the longest that a number begins with decides. A dictionary
-- would do the same, but a right to make one is a right to read other sources, which no account of ours has.
CREATE TABLE IF NOT EXISTS {{database}}.prefixes {{on_cluster}}
(
    prefix String COMMENT 'first digits of E.164 numbers, with +: +8613',
    name String COMMENT 'name for people, as the file that was loaded has it',
    country LowCardinality(String) COMMENT 'ISO 3166-1 alpha-2 code of the country, that of the calling code where the file has none; empty for numbers of no country',
    kind LowCardinality(String) COMMENT 'kind of number in one word, as mobile, premium or satellite; empty where the file has none',
    is_removed Bool COMMENT 'the newest file has this prefix no more',
    loaded_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when the row was written',
    version UInt64 COMMENT 'one for each file that was loaded; the highest is the truth'
)
ENGINE = {{replacing}}
ORDER BY prefix
COMMENT 'Prefixes that callweave prefixes load wrote, in all versions: read v_prefixes instead';

CREATE OR REPLACE VIEW {{database}}.v_calling_codes {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    concat('+', code) AS prefix, g.2 AS name, g.1::LowCardinality(String) AS country, g.3::LowCardinality(String) AS kind
FROM
(
    SELECT arrayJoin([
            ('AC', 'Ascension Island', '', '247'), ('AD', 'Andorra', '', '376'), ('AE', 'United Arab Emirates', '', '971'),
            ('AF', 'Afghanistan', '', '93'), ('AG', 'Antigua and Barbuda', '', '1268'), ('AI', 'Anguilla', '', '1264'),
            ('AL', 'Albania', '', '355'), ('AM', 'Armenia', '', '374'), ('AO', 'Angola', '', '244'),
            ('AR', 'Argentina', '', '54'), ('AS', 'American Samoa', '', '1684'), ('AT', 'Austria', '', '43'),
            ('AU', 'Australia', '', '61'), ('AW', 'Aruba', '', '297'), ('AZ', 'Azerbaijan', '', '994'),
            ('BA', 'Bosnia and Herzegovina', '', '387'), ('BB', 'Barbados', '', '1246'), ('BD', 'Bangladesh', '', '880'),
            ('BE', 'Belgium', '', '32'), ('BF', 'Burkina Faso', '', '226'), ('BG', 'Bulgaria', '', '359'),
            ('BH', 'Bahrain', '', '973'), ('BI', 'Burundi', '', '257'), ('BJ', 'Benin', '', '229'),
            ('BM', 'Bermuda', '', '1441'), ('BN', 'Brunei', '', '673'), ('BO', 'Bolivia', '', '591'),
            ('BQ', 'Bonaire, Sint Eustatius and Saba', '', '599'), ('BR', 'Brazil', '', '55'), ('BS', 'Bahamas', '', '1242'),
            ('BT', 'Bhutan', '', '975'), ('BW', 'Botswana', '', '267'), ('BY', 'Belarus', '', '375'),
            ('BZ', 'Belize', '', '501'),
            ('CA', 'Canada', '', '1204 1226 1236 1249 1250 1257 1263 1273 1289 1306 1343 1354 1365 1367 1368 1382 1403 1416 1418 1428
                1431 1437 1438 1450 1468 1474 1506 1514 1519 1548 1579 1581 1584 1587 1600 1604 1613 1622 1633 1639
                1647 1672 1683 1705 1709 1742 1753 1778 1780 1782 1807 1819 1825 1867 1873 1879 1902 1905 1942'),
            ('CD', 'Democratic Republic of the Congo', '', '243'), ('CF', 'Central African Republic', '', '236'),
            ('CG', 'Congo', '', '242'), ('CH', 'Switzerland', '', '41'), ('CI', 'Cote d''Ivoire', '', '225'),
            ('CK', 'Cook Islands', '', '682'), ('CL', 'Chile', '', '56'), ('CM', 'Cameroon', '', '237'),
            ('CN', 'China', '', '86'), ('CO', 'Colombia', '', '57'), ('CR', 'Costa Rica', '', '506'), ('CU', 'Cuba', '', '53'),
            ('CV', 'Cape Verde', '', '238'), ('CW', 'Curacao', '', '5999'), ('CY', 'Cyprus', '', '357'),
            ('CZ', 'Czechia', '', '420'), ('DE', 'Germany', '', '49'), ('DJ', 'Djibouti', '', '253'),
            ('DK', 'Denmark', '', '45'), ('DM', 'Dominica', '', '1767'), ('DO', 'Dominican Republic', '', '1809 1829 1849'),
            ('DZ', 'Algeria', '', '213'), ('EC', 'Ecuador', '', '593'), ('EE', 'Estonia', '', '372'),
            ('EG', 'Egypt', '', '20'), ('ER', 'Eritrea', '', '291'), ('ES', 'Spain', '', '34'), ('ET', 'Ethiopia', '', '251'),
            ('FI', 'Finland', '', '358'), ('FJ', 'Fiji', '', '679'), ('FK', 'Falkland Islands', '', '500'),
            ('FM', 'Micronesia', '', '691'), ('FO', 'Faroe Islands', '', '298'), ('FR', 'France', '', '33'),
            ('GA', 'Gabon', '', '241'), ('GB', 'United Kingdom', '', '44'), ('GD', 'Grenada', '', '1473'),
            ('GE', 'Georgia', '', '995'), ('GF', 'French Guiana', '', '594'), ('GH', 'Ghana', '', '233'),
            ('GI', 'Gibraltar', '', '350'), ('GL', 'Greenland', '', '299'), ('GM', 'Gambia', '', '220'),
            ('GN', 'Guinea', '', '224'), ('GP', 'Guadeloupe', '', '590'), ('GQ', 'Equatorial Guinea', '', '240'),
            ('GR', 'Greece', '', '30'), ('GT', 'Guatemala', '', '502'), ('GU', 'Guam', '', '1671'),
            ('GW', 'Guinea-Bissau', '', '245'), ('GY', 'Guyana', '', '592'), ('HK', 'Hong Kong', '', '852'),
            ('HN', 'Honduras', '', '504'), ('HR', 'Croatia', '', '385'), ('HT', 'Haiti', '', '509'),
            ('HU', 'Hungary', '', '36'), ('ID', 'Indonesia', '', '62'), ('IE', 'Ireland', '', '353'),
            ('IL', 'Israel', '', '972'), ('IN', 'India', '', '91'), ('IO', 'British Indian Ocean Territory', '', '246'),
            ('IQ', 'Iraq', '', '964'), ('IR', 'Iran', '', '98'), ('IS', 'Iceland', '', '354'), ('IT', 'Italy', '', '39'),
            ('JM', 'Jamaica', '', '1658 1876'), ('JO', 'Jordan', '', '962'), ('JP', 'Japan', '', '81'),
            ('KE', 'Kenya', '', '254'), ('KG', 'Kyrgyzstan', '', '996'), ('KH', 'Cambodia', '', '855'),
            ('KI', 'Kiribati', '', '686'), ('KM', 'Comoros', '', '269'), ('KN', 'Saint Kitts and Nevis', '', '1869'),
            ('KP', 'North Korea', '', '850'), ('KR', 'South Korea', '', '82'), ('KW', 'Kuwait', '', '965'),
            ('KY', 'Cayman Islands', '', '1345'), ('KZ', 'Kazakhstan', '', '76 77'), ('LA', 'Laos', '', '856'),
            ('LB', 'Lebanon', '', '961'), ('LC', 'Saint Lucia', '', '1758'), ('LI', 'Liechtenstein', '', '423'),
            ('LK', 'Sri Lanka', '', '94'), ('LR', 'Liberia', '', '231'), ('LS', 'Lesotho', '', '266'),
            ('LT', 'Lithuania', '', '370'), ('LU', 'Luxembourg', '', '352'), ('LV', 'Latvia', '', '371'),
            ('LY', 'Libya', '', '218'), ('MA', 'Morocco', '', '212'), ('MC', 'Monaco', '', '377'),
            ('MD', 'Moldova', '', '373'), ('ME', 'Montenegro', '', '382'), ('MG', 'Madagascar', '', '261'),
            ('MH', 'Marshall Islands', '', '692'), ('MK', 'North Macedonia', '', '389'), ('ML', 'Mali', '', '223'),
            ('MM', 'Myanmar', '', '95'), ('MN', 'Mongolia', '', '976'), ('MO', 'Macao', '', '853'),
            ('MP', 'Northern Mariana Islands', '', '1670'), ('MQ', 'Martinique', '', '596'), ('MR', 'Mauritania', '', '222'),
            ('MS', 'Montserrat', '', '1664'), ('MT', 'Malta', '', '356'), ('MU', 'Mauritius', '', '230'),
            ('MV', 'Maldives', '', '960'), ('MW', 'Malawi', '', '265'), ('MX', 'Mexico', '', '52'),
            ('MY', 'Malaysia', '', '60'), ('MZ', 'Mozambique', '', '258'), ('NA', 'Namibia', '', '264'),
            ('NC', 'New Caledonia', '', '687'), ('NE', 'Niger', '', '227'), ('NF', 'Norfolk Island', '', '672'),
            ('NG', 'Nigeria', '', '234'), ('NI', 'Nicaragua', '', '505'), ('NL', 'Netherlands', '', '31'),
            ('NO', 'Norway', '', '47'), ('NP', 'Nepal', '', '977'), ('NR', 'Nauru', '', '674'), ('NU', 'Niue', '', '683'),
            ('NZ', 'New Zealand', '', '64'), ('OM', 'Oman', '', '968'), ('PA', 'Panama', '', '507'), ('PE', 'Peru', '', '51'),
            ('PF', 'French Polynesia', '', '689'), ('PG', 'Papua New Guinea', '', '675'), ('PH', 'Philippines', '', '63'),
            ('PK', 'Pakistan', '', '92'), ('PL', 'Poland', '', '48'), ('PM', 'Saint Pierre and Miquelon', '', '508'),
            ('PR', 'Puerto Rico', '', '1787 1939'), ('PS', 'Palestine', '', '970'), ('PT', 'Portugal', '', '351'),
            ('PW', 'Palau', '', '680'), ('PY', 'Paraguay', '', '595'), ('QA', 'Qatar', '', '974'),
            ('RE', 'Reunion', '', '262'), ('RO', 'Romania', '', '40'), ('RS', 'Serbia', '', '381'), ('RU', 'Russia', '', '7'),
            ('RW', 'Rwanda', '', '250'), ('SA', 'Saudi Arabia', '', '966'), ('SB', 'Solomon Islands', '', '677'),
            ('SC', 'Seychelles', '', '248'), ('SD', 'Sudan', '', '249'), ('SE', 'Sweden', '', '46'),
            ('SG', 'Singapore', '', '65'), ('SH', 'Saint Helena', '', '290'), ('SI', 'Slovenia', '', '386'),
            ('SK', 'Slovakia', '', '421'), ('SL', 'Sierra Leone', '', '232'), ('SM', 'San Marino', '', '378'),
            ('SN', 'Senegal', '', '221'), ('SO', 'Somalia', '', '252'), ('SR', 'Suriname', '', '597'),
            ('SS', 'South Sudan', '', '211'), ('ST', 'Sao Tome and Principe', '', '239'), ('SV', 'El Salvador', '', '503'),
            ('SX', 'Sint Maarten', '', '1721'), ('SY', 'Syria', '', '963'), ('SZ', 'Eswatini', '', '268'),
            ('TC', 'Turks and Caicos Islands', '', '1649'), ('TD', 'Chad', '', '235'), ('TG', 'Togo', '', '228'),
            ('TH', 'Thailand', '', '66'), ('TJ', 'Tajikistan', '', '992'), ('TK', 'Tokelau', '', '690'),
            ('TL', 'Timor-Leste', '', '670'), ('TM', 'Turkmenistan', '', '993'), ('TN', 'Tunisia', '', '216'),
            ('TO', 'Tonga', '', '676'), ('TR', 'Turkey', '', '90'), ('TT', 'Trinidad and Tobago', '', '1868'),
            ('TV', 'Tuvalu', '', '688'), ('TW', 'Taiwan', '', '886'), ('TZ', 'Tanzania', '', '255'),
            ('UA', 'Ukraine', '', '380'), ('UG', 'Uganda', '', '256'), ('US', 'United States', '', '1'),
            ('UY', 'Uruguay', '', '598'), ('UZ', 'Uzbekistan', '', '998'),
            ('VC', 'Saint Vincent and the Grenadines', '', '1784'), ('VE', 'Venezuela', '', '58'),
            ('VG', 'British Virgin Islands', '', '1284'), ('VI', 'U.S. Virgin Islands', '', '1340'),
            ('VN', 'Vietnam', '', '84'), ('VU', 'Vanuatu', '', '678'), ('WF', 'Wallis and Futuna', '', '681'),
            ('WS', 'Samoa', '', '685'), ('XK', 'Kosovo', '', '383'), ('YE', 'Yemen', '', '967'),
            ('ZA', 'South Africa', '', '27'), ('ZM', 'Zambia', '', '260'), ('ZW', 'Zimbabwe', '', '263'),
            ('', 'International freephone', 'freephone', '800'), ('', 'International shared cost', 'shared_cost', '808'),
            ('', 'Inmarsat', 'satellite', '870'), ('', 'Universal personal telecommunications', 'personal', '878'),
            ('', 'Global mobile satellite systems', 'satellite', '881'), ('', 'International networks', 'network', '882 883'),
            ('', 'Disaster relief', 'network', '888'), ('', 'International premium rate', 'premium', '979')
        ]) AS g, arrayJoin(splitByWhitespace(g.4)) AS code
)
COMMENT 'Calling codes of countries, and the digits behind a shared code that tell its countries apart. Islands that share a code with a country and have no digits of their own behind it count as it';

CREATE OR REPLACE VIEW {{database}}.v_prefixes {{on_cluster}}
SQL SECURITY DEFINER AS
WITH loaded AS (SELECT prefix, name, country, kind FROM {{database}}.prefixes FINAL WHERE NOT is_removed)
SELECT prefix, name, country, kind, true AS is_loaded
FROM loaded
UNION ALL
SELECT prefix, name, country, kind, false AS is_loaded
FROM {{database}}.v_calling_codes
WHERE prefix NOT IN (SELECT prefix FROM loaded)
COMMENT 'Prefixes of E.164 numbers, each once: those that were loaded, and the calling codes of countries for all others';

-- each: view=v_prefixes view=v_calling_codes
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN prefix 'first digits of E.164 numbers, with +: +8613',
    COMMENT COLUMN name 'name for people: that of the loaded file, or of the country or network',
    COMMENT COLUMN country 'ISO 3166-1 alpha-2 code of the country; empty for numbers of no country',
    COMMENT COLUMN kind 'kind of number in one word, as mobile, premium or satellite; empty: not known';

-- each: view=v_prefixes
ALTER TABLE {{database}}.{{value}} {{on_cluster}} COMMENT COLUMN is_loaded 'true: callweave prefixes load wrote it; false: the calling code of a country, from the release';

-- The analyst's view matches what the masked form shows, five digits at the most, and so tells nothing that the form hides: where these
-- begin numbers of several countries, it names none. The reader's view goes by the masked form, too, once the clear number is gone
-- (privacy.clear_number_days).
CREATE OR REPLACE VIEW {{database}}.v_other_parties {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    c.slot_at AS slot_at, c.started_at AS started_at, c.timeline_id AS timeline_id, c.call_key AS call_key, c.vendor AS vendor,
    c.account AS account, c.account_id AS account_id, c.vendor_call_id AS vendor_call_id, c.call_type AS call_type,
    c.direction AS direction, c.other_number AS other_number, c.other_token AS other_token, c.other_masked AS other_masked,
    toBool(arrayExists(one -> one != p.country, m.countries)) AS is_ambiguous,
    if(is_ambiguous, '', p.country)::LowCardinality(String) AS country, c.longest AS prefix,
    if(is_ambiguous, '', p.name) AS prefix_name, p.kind AS prefix_kind,
    c.disposition AS disposition, c.pdd_ms AS pdd_ms, c.ring_ms AS ring_ms, c.talk_ms AS talk_ms,
    c.billable_s AS billable_s, c.cost AS cost, c.currency AS currency,
    c.is_final AS is_final, c.in_conflict AS in_conflict, c.agent_id AS agent_id, c.custom_ref AS custom_ref
FROM
(
    SELECT
        *,
        call_key,
        timeline_id,
        direction = 'inbound' AS is_from,
        if(is_from, from_number, to_number) AS other_number,
        if(is_from, from_token, to_token) AS other_token,
        if(is_from, from_masked, to_masked) AS other_masked,
        toBool(has(quality_flags, 'conflict_final') AND NOT has(quality_flags, 'conflict_resolved')) AS in_conflict,
        arrayFirst(
            known -> known IN (SELECT prefix FROM {{database}}.v_prefixes),
            arrayMap(length -> substring(ifNull(other_number, other_masked), 1, length), range(16, 1, -1))
        ) AS longest,
        if(other_number IS NULL, splitByChar('*', other_masked)[1], '') AS head
    FROM {{database}}.timelines_by_slot FINAL
) AS c
LEFT JOIN {{database}}.v_prefixes AS p ON p.prefix = c.longest
LEFT JOIN
(
    SELECT head, groupUniqArray(country) AS countries
    FROM {{database}}.v_prefixes
    ARRAY JOIN arrayMap(length -> substring(prefix, 1, length), range(1, least(length(prefix), 8))) AS head
    GROUP BY head
) AS m ON m.head = c.head
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'One row per call, newest version: country and prefix of the party that is not the customer, and what the call cost. Times are UTC';

CREATE OR REPLACE VIEW {{database}}.masked_other_parties {{on_cluster}}
SQL SECURITY DEFINER AS
SELECT
    c.slot_at AS slot_at, c.started_at AS started_at, c.timeline_id AS timeline_id, c.call_key AS call_key, c.vendor AS vendor,
    c.account AS account, c.account_id AS account_id, c.vendor_call_id AS vendor_call_id, c.call_type AS call_type,
    c.direction AS direction, c.other_token AS other_token, c.other_masked AS other_masked,
    toBool(arrayExists(one -> one != p.country, m.countries)) AS is_ambiguous,
    if(is_ambiguous, '', p.country)::LowCardinality(String) AS country, c.longest AS prefix,
    if(is_ambiguous, '', p.name) AS prefix_name, p.kind AS prefix_kind,
    c.disposition AS disposition, c.pdd_ms AS pdd_ms, c.ring_ms AS ring_ms, c.talk_ms AS talk_ms,
    c.billable_s AS billable_s, c.cost AS cost, c.currency AS currency,
    c.is_final AS is_final, c.in_conflict AS in_conflict, c.agent_id AS agent_id, c.custom_ref AS custom_ref
FROM
(
    SELECT
        *,
        call_key,
        timeline_id,
        direction = 'inbound' AS is_from,
        if(is_from, from_number, to_number) AS other_number,
        if(is_from, from_token, to_token) AS other_token,
        if(is_from, from_masked, to_masked) AS other_masked,
        toBool(has(quality_flags, 'conflict_final') AND NOT has(quality_flags, 'conflict_resolved')) AS in_conflict,
        arrayFirst(
            known -> known IN (SELECT prefix FROM {{database}}.v_prefixes),
            arrayMap(length -> substring(other_masked, 1, length), range(16, 1, -1))
        ) AS longest,
        splitByChar('*', other_masked)[1] AS head
    FROM {{database}}.timelines_by_slot FINAL
) AS c
LEFT JOIN {{database}}.v_prefixes AS p ON p.prefix = c.longest
LEFT JOIN
(
    SELECT head, groupUniqArray(country) AS countries
    FROM {{database}}.v_prefixes
    ARRAY JOIN arrayMap(length -> substring(prefix, 1, length), range(1, least(length(prefix), 8))) AS head
    GROUP BY head
) AS m ON m.head = c.head
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'One row per call, newest version: country of the party that is not the customer, and the prefix as far as the masked form shows it; no phone number';

-- each: view=v_other_parties view=masked_other_parties
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN slot_at 'the hour (UTC) by which the rows of the call are stored',
    COMMENT COLUMN started_at 'start of the call (UTC): its earliest instant, else the first receipt; a query bounded by it reads only that time',
    COMMENT COLUMN other_token 'stands for the number of the other party in joins, as from_token',
    COMMENT COLUMN other_masked 'number of the other party for display, at least four digits hidden',
    COMMENT COLUMN country 'country of the other party: ISO 3166-1 alpha-2 code of the prefix; empty: no number in E.164, or one of no country; also where only the masked form is known, and its digits begin numbers of several',
    COMMENT COLUMN prefix_name 'name of the prefix in v_prefixes',
    COMMENT COLUMN prefix_kind 'kind of the prefix in v_prefixes, as mobile, premium or satellite; empty: not known',
    COMMENT COLUMN in_conflict 'flagged conflict_final and not yet resolved (v_conflicts): the amounts are those of the shown content, and belong in no sum',
    COMMENT COLUMN is_ambiguous 'only the masked form is known here, and its digits begin numbers of several countries';

-- each: view=v_other_parties
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN other_number 'number of the other party: the caller of an inbound call, else the called party; E.164 where it begins with +',
    COMMENT COLUMN prefix 'the longest prefix in v_prefixes that the number begins with; of a number that is gone, that its masked form begins with; empty: none';

-- each: view=masked_other_parties
ALTER TABLE {{database}}.{{value}} {{on_cluster}} COMMENT COLUMN prefix 'the longest prefix in v_prefixes that the masked form begins with; empty: none';
