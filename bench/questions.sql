-- The ten questions over the files pin/, geo/ and user/ below {directory}, in DuckDB's dialect.
create table pin as
select distinct on (ind)
    "index" as ind,
    nullif(poster_name, 'User Info Error') as poster_name,
    case when regexp_full_match(follower_count, '[0-9]+[kM]?')
        then regexp_extract(follower_count, '[0-9]+')::bigint
            * case right(follower_count, 1) when 'k' then 1000 when 'M' then 1000000 else 1 end
    end as followers,
    category
from read_json('{directory}/pin/*.json', format = 'newline_delimited', columns = {{
    'index': 'INT', 'poster_name': 'VARCHAR', 'follower_count': 'VARCHAR', 'category': 'VARCHAR'}});

create table geo as
select distinct on (ind) ind, country, "timestamp"::timestamp as posted
from read_json('{directory}/geo/*.json', format = 'newline_delimited', columns = {{
    'ind': 'INT', 'country': 'VARCHAR', 'timestamp': 'VARCHAR'}});

create table users as
select distinct on (ind)
    ind,
    date_joined::timestamp as joined,
    case when age between 18 and 24 then '18-24' when age between 25 and 35 then '25-35'
        when age between 36 and 50 then '36-50' when age > 50 then '+50' end as age_group
from read_json('{directory}/user/*.json', format = 'newline_delimited', columns = {{
    'ind': 'INT', 'age': 'INT', 'date_joined': 'VARCHAR'}});

create table post as select * from pin join geo using (ind) join users using (ind);

select country, category, count(*) n from post group by 1, 2
qualify rank() over (partition by country order by n desc) = 1;

select year(posted) y, category, count(*) n from post where y between 2018 and 2022 group by all;

select year(posted) y, category, count(*) n from post where y between 2018 and 2022 group by 1, 2
qualify rank() over (partition by y order by n desc) = 1;

select country, poster_name, max(followers) f from post where poster_name is not null group by 1, 2
qualify rank() over (partition by country order by f desc) = 1;

select country, max(followers) f from post where poster_name is not null group by 1
qualify rank() over (order by f desc) = 1;

select age_group, category, count(*) n from post group by 1, 2
qualify rank() over (partition by age_group order by n desc) = 1;

select age_group, median(f)
from (select age_group, poster_name, max(followers) f from post where poster_name is not null group by all)
group by all;

select year(joined) y, count(distinct poster_name) from post where y between 2015 and 2020 group by all;

select y, median(f)
from (select year(joined) y, poster_name, max(followers) f from post where poster_name is not null group by all)
group by all;

select age_group, y, median(f)
from (
    select age_group, year(joined) y, poster_name, max(followers) f
    from post where poster_name is not null group by all
)
group by all;
