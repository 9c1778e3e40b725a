//! Games.

use uuid::Uuid;

use super::{Update, earlier, exists, names, next_etag, remember, repeatable, sees_inactive};
use crate::{
    app::{Caller, Error},
    db::{
        Db, Tx,
        catalog::{games, lock},
    },
    domain::{
        self, Listed,
        catalog::{Game, GameField},
        error::{Kind, Violations},
    },
};

/// Games by id, after `after`.
pub async fn list_games(
    db: &Db,
    caller: &Caller,
    include_inactive: bool,
    after: Option<&str>,
    limit: u64,
) -> Result<Listed<Game>, Error> {
    caller.may("CatalogService/ListGames")?;
    let include_inactive = sees_inactive(caller, include_inactive);
    Ok(games::list(db.read(), include_inactive, after, limit).await?)
}

/// One game; also an inactive one, because plans go on naming it.
pub async fn get_game(db: &Db, caller: &Caller, id: &str) -> Result<Game, Error> {
    caller.may("CatalogService/GetGame")?;
    let game = games::find(db.read(), id).await?;
    game.ok_or_else(|| not_found(id))
}

/// Adds a game.
pub async fn create_game(
    db: &Db,
    caller: &Caller,
    game: Game,
    request_id: Option<Uuid>,
) -> Result<Game, Error> {
    const METHOD: &str = "CatalogService/CreateGame";
    caller.may(METHOD)?;
    let request = repeatable(caller, METHOD, request_id, &game)?;
    let (game, request) = (&game, request.as_ref());
    db.tx(|tx| async move {
        lock(&tx).await?;
        let now_us = db.now_in(&tx).await?;
        if let Some(id) = earlier(request, &tx, now_us).await? {
            return stored(&tx, &id).await;
        }
        let mut game = game.clone();
        require_valid(&game, Violations::default())?;
        if games::find(&*tx, &game.id).await?.is_some() {
            return Err(exists(Kind::Game, &game.id).into());
        }
        (game.created_us, game.updated_us) = (now_us, now_us);
        game.etag = next_etag("", now_us, &game)?;
        games::insert(&tx, &game).await?;
        remember(request, &tx, &game.id, now_us).await?;
        stored(&tx, &game.id).await
    })
    .await
}

/// Changes the named fields of a game. Orders keep what they were sold.
pub async fn update_game(
    db: &Db,
    caller: &Caller,
    update: Update<Game, GameField>,
    request_id: Option<Uuid>,
) -> Result<Game, Error> {
    const METHOD: &str = "CatalogService/UpdateGame";
    caller.may(METHOD)?;
    let body = (
        &update.value,
        names(&update.fields, GameField::as_str),
        &update.etag,
    );
    let request = repeatable(caller, METHOD, request_id, &body)?;
    let (update, request) = (&update, update.request(request.as_ref()));
    db.tx(|tx| async move {
        lock(&tx).await?;
        let now_us = db.now_in(&tx).await?;
        if let Some(id) = earlier(request, &tx, now_us).await? {
            return stored(&tx, &id).await;
        }
        let mut game = stored(&tx, &update.value.id).await?;
        update.require_etag(Kind::Game, &game.id, &game.etag)?;
        game.take(&update.value, &update.fields);
        require_valid(&game, update.violations())?;
        game.updated_us = now_us;
        game.etag = next_etag(&game.etag, now_us, &game)?;
        games::update(&tx, &game).await?;
        remember(request, &tx, &game.id, now_us).await?;
        stored(&tx, &game.id).await
    })
    .await
}

fn require_valid(game: &Game, mut violations: Violations) -> Result<(), domain::Error> {
    game.check(&mut violations, "game");
    violations.finish()
}

async fn stored(tx: &Tx, id: &str) -> Result<Game, Error> {
    games::find(&**tx, id).await?.ok_or_else(|| not_found(id))
}

fn not_found(id: &str) -> Error {
    domain::Error::not_found(Kind::Game, id).into()
}
